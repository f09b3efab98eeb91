"""`silenthit alerts`: receive, read and follow silent alerts."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import rich_click as click
from rich.console import Console

from consumers.alert_list import alerts_listed, changes, is_open
from consumers.alert_story import story
from consumers.alert_view import alert_line, alert_panel, alert_table
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.inbox import Received
from consumers.receiving import catch_up, receive_until
from consumers.times import to_ms

_LOOK_S = 0.25


@click.group()
def alerts() -> None:
    """Receive, read and follow silent alerts.

    Example: silenthit alerts receive --config fbi/partner.toml
    """


@alerts.command()
@click.option("--once", is_flag=True, help="Stop when everything that is there has been read.")
@config_option
@json_option
@example("silenthit alerts receive --config fbi/partner.toml")
def receive(*, once: bool, config: Path, as_json: bool) -> None:
    """Run the inbox: open, triage, store and post alerts, until SIGTERM or Ctrl-C.

    It also takes expired watches off and sends watches that the exchange has not confirmed.
    """
    counts: Counter[str] = Counter()

    def tell(batch: Sequence[Received]) -> None:
        for each in batch:
            counts[each.outcome.value] += 1
            if each.reason is not None:
                note = f"alert {each.alert_id.hex()} was kept unopened: {each.reason.value}"
                click.echo(note, err=True)
            if not as_json and not once:
                click.echo(f"{each.outcome.value}  {each.alert_id.hex()}")

    with opened(config) as ours:
        if once:
            catch_up(ours, tell)
        else:
            receive_until(ours, _until_signal(), tell)
    if as_json:
        print_json(dict(counts))
    else:
        click.echo(", ".join(f"{n} {word}" for word, n in sorted(counts.items())) or "no alerts")


def _until_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@alerts.command()
@click.option("--all", "from_start", is_flag=True, help="Begin with every alert in the vault.")
@config_option
@json_option
@example("silenthit alerts tail --config fbi/partner.toml")
def tail(*, from_start: bool, config: Path, as_json: bool) -> None:
    """Follow alerts as `alerts receive` stores them, until SIGTERM or Ctrl-C."""
    stop, console = _until_signal(), Console()
    with opened(config) as ours:
        since = 0 if from_start else to_ms(ours.now() - timedelta(minutes=1))
        for fresh in changes(ours.vault, since):
            for each in fresh:
                if as_json:
                    print_json(each)
                else:
                    console.print(alert_line(each))
            if stop.wait(_LOOK_S):
                return


@alerts.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only those that still need somebody.")
@config_option
@json_option
@example("silenthit alerts list --open")
def list_command(*, only_open: bool, config: Path, as_json: bool) -> None:
    """List the alerts, the oldest first; also discarded and unopened ones."""
    with opened(config) as ours:
        found = [each for each in alerts_listed(ours.vault) if is_open(each) or not only_open]
    if as_json:
        print_json(found)
    else:
        console = Console()
        console.print(alert_table(found, console.width) if found else "No alerts.")


@alerts.command()
@click.argument("name", metavar="ID")
@config_option
@json_option
@example("silenthit alerts show 7c1e")
def show(*, name: str, config: Path, as_json: bool) -> None:
    """Show an alert: why it matched, whom to call, the touch and its subjects, in plaintext."""
    with opened(config) as ours:
        told = story(ours.vault, name, ours.now())
    if as_json:
        print_json(
            {
                **told.head,
                "opened": told.opened.model_dump(mode="json") if told.opened else None,
                "handling": told.watch.handling if told.watch else None,
                "history": told.done,
                "group": told.group,
                "others": told.others,
            }
        )
    else:
        Console().print(alert_panel(told))
