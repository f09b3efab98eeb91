"""`silenthit alerts claim | release | close | note | snooze`: somebody answers for an alert."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import rich_click as click

from consumers.alert_list import alert_row, case_named
from consumers.alert_story import standing
from consumers.cases import case_of, cases_in
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.dissemination import export, write_export
from consumers.history import history
from silenthit.call_tree.cases import Cases
from silenthit.call_tree.durations import parse_duration
from silenthit.errors import InputError

_alert = click.argument("name", metavar="ID")
_text = click.option("--text", default="", help="What there is to say about it.")


def _do(
    config: Path, name: str, *, as_json: bool, change: Callable[[Cases, bytes, str], None]
) -> None:
    """Change one case and say where it stands now."""
    with opened(config) as ours:
        about = case_named(ours.vault, name)
        with ours.vault.write() as into:
            change(cases_in(into, ours.protocol, ours.now()), about, ours.who)
            case, events = case_of(into, about), history(into, about)
    if as_json:
        print_json({"alert_id": about.hex(), **standing(case), "history": events})
    else:
        owner = f", {case.owner} answers for it" if case and case.owner else ""
        click.echo(f"alert {about.hex()[:8]}: {case.stage if case else 'noted'}{owner}")


@click.command()
@_alert
@config_option
@json_option
@example("silenthit alerts claim 7c1e55a0 --as reyes")
def claim(*, name: str, config: Path, as_json: bool) -> None:
    """Answer for an alert: nobody else is called, and those who were called are told."""
    _do(config, name, as_json=as_json, change=Cases.claim)


@click.command()
@_alert
@_text
@config_option
@json_option
@example('silenthit alerts release 7c1e55a0 --text "off duty"')
def release(*, name: str, text: str, config: Path, as_json: bool) -> None:
    """Answer for an alert no more; it climbs from the first level again."""
    _do(config, name, as_json=as_json, change=lambda cases, of, who: cases.release(of, who, text))


@click.command()
@_alert
@_text
@config_option
@json_option
@example('silenthit alerts close 7c1e55a0 --text "spoke with Det. Lee, surveillance goes on"')
def close(*, name: str, text: str, config: Path, as_json: bool) -> None:
    """Be done with an alert that one answers for."""
    _do(config, name, as_json=as_json, change=lambda cases, of, who: cases.close(of, who, text))


@click.command()
@_alert
@click.argument("text")
@config_option
@json_option
@example('silenthit alerts note 7c1e55a0 "left a message with the desk sergeant"')
def note(*, name: str, text: str, config: Path, as_json: bool) -> None:
    """Write something down about an alert; anybody may."""
    _do(config, name, as_json=as_json, change=lambda cases, of, who: cases.note(of, who, text))


@click.command()
@_alert
@click.argument("wait", metavar="DURATION")
@config_option
@json_option
@example("silenthit alerts snooze 7c1e55a0 4h")
def snooze(*, name: str, wait: str, config: Path, as_json: bool) -> None:
    """Be reminded later of an alert that one answers for; unanswered, it climbs again."""
    duration = _duration(wait)
    _do(
        config, name, as_json=as_json, change=lambda cases, of, who: cases.snooze(of, who, duration)
    )


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"{error}, got another text") from None


@click.command("export")
@_alert
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--to", "recipient", default="", help="Who gets it.")
@click.option("--purpose", default="", help="Why they need it.")
@config_option
@json_option
@example('silenthit alerts export 7c1e55a0 case.json --to "AUSA Bell" --purpose "26-cr-114"')
def export_command(
    *,
    name: str,
    file: Path,
    recipient: str,
    purpose: str,
    config: Path,
    as_json: bool,
) -> None:
    """Write an alert to a file for a case, and keep a record of who got it and why."""
    with opened(config) as ours:
        row = alert_row(ours.vault, name)
        with ours.vault.write() as into:
            content = export(
                into, row, who=ours.who, recipient=recipient, purpose=purpose, now=ours.now()
            )
        write_export(file, content)
    if as_json:
        print_json({"alert_id": row["id"].hex(), "file": str(file)})
    else:
        click.echo(f"written to {file}; the record of it is in `silenthit alerts show`")


CASE_COMMANDS = (claim, release, close, note, snooze, export_command)
