"""`silenthit watch edit | renew | remove | history | retoken`: what becomes of a watch."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import rich_click as click

from consumers.command_line import config_option, example, json_option, opened, print_json, user
from consumers.history import Event, history, write_down
from consumers.partner import Partner
from consumers.receiving import follow_epochs
from consumers.subject_options import read_subject, read_watch_file
from consumers.watch_commands import KINDS, delivered_or_error, end_with, watch_fields_shown
from consumers.watch_list import Listed, change_watch, remove_watch, watch_named
from consumers.watches import read_watch
from silenthit.errors import InputError, RefusedError

YEAR = 365
_name = click.argument("name", metavar="ID|LABEL")


def _change(ours: Partner, before: Listed, changed: dict[str, Any], did: tuple[str, str]) -> None:
    """Put the watch with these fields changed in its place, and write down who did what."""
    if before.removed_at is not None:
        raise RefusedError("expected a watch that stands, got a removed one; add it anew")
    fields = {name: getattr(before.watch, name) for name in type(before.watch).model_fields}
    with ours.blinding() as blinding:
        change_watch(
            ours.vault,
            before,
            read_watch({**fields, **changed}, ours.now()),
            partner=ours.settings.name,
            prf=blinding.prf,
            now=ours.now(),
        )
    action, text = did
    with ours.vault.write() as into:
        write_down(into, before.watch_id, action, Event(who=user(), text=text), ours.now())


def _tell(found: Listed, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json(watch_fields_shown(found))
    else:
        click.echo(f"{found.watch.label}: {done}, until {found.watch.expires_at:%Y-%m-%d}")


@click.command()
@_name
@click.option("--label", help="What channels show.")
@click.option("--legal-basis", help="Reasonable suspicion, and by whom stated (28 CFR 23.20).")
@click.option("--case-number")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="In place of all.")
@click.option("--deliver-to", multiple=True, metavar="CHANNEL", help="In place of the others.")
@click.option(
    "--subjects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A watch list file with one [[watch]], whose subjects take the place of the others.",
)
@config_option
@json_option
@example('silenthit watch edit 3f9a --label "Blue Heron 2" --subjects heron.toml')
def edit(*, name: str, subjects: Path | None, config: Path, as_json: bool, **changes: Any) -> None:
    """Change a watch. It stays the same watch: its alerts are updated, not raised anew."""
    changed = {field: value for field, value in changes.items() if value}
    if subjects is not None:
        changed["subjects"] = _subjects(subjects)
    if not changed:
        raise InputError("expected something to change, got no option; see --help")
    with opened(config) as ours:
        ours.check_channels(tuple(changed.get("deliver_to", ())))
        did = ("edited", ", ".join(sorted(changed)))
        before = watch_named(ours.vault, name)
        _change(ours, before, changed, did)
        undelivered = delivered_or_error(ours)
        found = watch_named(ours.vault, before.watch_id.hex())
    _tell(found, "changed", as_json=as_json)
    end_with(undelivered)


def _subjects(path: Path) -> tuple[Any, ...]:
    written = read_watch_file(path)
    if len(written) != 1:
        raise InputError(f"expected one [[watch]] in {path}, got {len(written)}")
    return tuple(map(read_subject, written[0].get("subject", ())))


@click.command()
@_name
@click.option("--days", type=click.IntRange(1, YEAR), default=YEAR, show_default=True)
@click.option("--review", help="Who looked at it again, and why the suspicion stands.")
@config_option
@json_option
@example('silenthit watch renew 3f9a --review "SSA Ford: surveillance of 2026-11-02 confirms"')
def renew(*, name: str, days: int, review: str | None, config: Path, as_json: bool) -> None:
    """Let a watch stand for longer, after a review: at most a year at a time."""
    if not (review or "").strip():
        raise RefusedError(
            "expected a review of the watch, got none; state with --review who looked at it again "
            "and why the suspicion stands (28 CFR 23.20(h))"
        )
    with opened(config) as ours:
        until = ours.now() + timedelta(days=days)
        before = watch_named(ours.vault, name)
        _change(ours, before, {"expires_at": until}, ("renewed", str(review)))
        undelivered = delivered_or_error(ours)
        found = watch_named(ours.vault, before.watch_id.hex())
    _tell(found, "renewed", as_json=as_json)
    end_with(undelivered)


@click.command()
@click.argument("names", metavar="ID|LABEL...", nargs=-1, required=True)
@config_option
@json_option
@example("silenthit watch remove 3f9a")
def remove(*, names: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Remove watches; the exchange forgets them by tombstone. Their alerts stay."""
    with opened(config) as ours:
        found = [watch_named(ours.vault, name) for name in names]
        for each in found:
            remove_watch(ours.vault, each.watch_id, ours.now())
            with ours.vault.write() as into:
                write_down(into, each.watch_id, "removed", Event(who=user()), ours.now())
        undelivered = delivered_or_error(ours)
    if as_json:
        print_json({"removed": [each.watch_id.hex() for each in found]})
    else:
        click.echo(f"{len(found)} removed")
    end_with(undelivered)


@click.command("history")
@_name
@config_option
@json_option
@example("silenthit watch history 3f9a")
def history_command(*, name: str, config: Path, as_json: bool) -> None:
    """Show what was done to a watch, by whom and when."""
    with opened(config) as ours:
        found = watch_named(ours.vault, name)
        with ours.vault.read() as rows:
            done = history(rows, found.watch_id)
    if as_json:
        print_json(done)
        return
    for each in done:
        told = f": {each['text']}" if each["text"] else ""
        click.echo(f"{each['at'][:16].replace('T', ' ')}  {each['action']} {each['who']}{told}")


@click.command()
@config_option
@json_option
@example("silenthit watch retoken")
def retoken(*, config: Path, as_json: bool) -> None:
    """Register every watch in the epochs that are watchable now.

    `alerts receive` does it by itself once a minute.
    """
    with opened(config) as ours:
        added = follow_epochs(ours)
        undelivered = delivered_or_error(ours)
    if as_json:
        print_json({"registered": added})
    else:
        click.echo(f"{added} registered")
    end_with(undelivered)


UPKEEP_COMMANDS = (edit, renew, remove, history_command, retoken)
