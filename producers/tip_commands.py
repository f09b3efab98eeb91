"""`silenthit agency tips`: who answers for which tip."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from producers.command_line import CONFIG, JSON
from silenthit.errors import SettingsError

if TYPE_CHECKING:
    from producers.tips import Tip, Tips

_WHO = click.option("--as", "who", required=True, help="One of the protocol's people.")
_TEXT = click.option("--text", default="", help="What there is to say; kept with the tip.")


@click.group()
def tips() -> None:
    """Tips: read them, answer for them, close them.

    Example: silenthit agency tips list --config agency/agency.toml
    """


@tips.command("list")
@CONFIG
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@JSON
def list_tips(config: Path, everything: bool, as_json: bool) -> None:
    """List tips with who answers for each.

    Example: silenthit agency tips list --config agency/agency.toml
    """
    from silenthit.call_tree.escalation import Stage

    found = [t for t in _open(config).all() if everything or t.case.stage is not Stage.CLOSED]
    if as_json:
        click.echo(json.dumps([_row(each) for each in found]))
        return
    for row in map(_row, found):
        owner = row["owner"] or f"nobody ({row['stage']})"
        click.echo(f"{row['id']}  {row['heard_at']}  {owner}  {row['place']}")
    if not found:
        click.echo("no tip waits")


@tips.command("show")
@click.argument("tip")
@CONFIG
def show_tip(tip: str, config: Path) -> None:
    """Show what a TIP says and all that was done with it.

    Example: silenthit agency tips show 3f9a02 --config agency/agency.toml
    """
    found = _open(config).find(tip)
    row = _row(found)
    for key in ("id", "heard_at", "stage", "owner", "place"):
        click.echo(f"{key:9} {row[key]}")
    click.echo(f"\n{found.record.narrative}\n")
    for event in found.events:
        click.echo(f"{event['at']}  {event['action']:9} {event['who']}  {event['text']}".rstrip())


@tips.command("purge")
@click.option(
    "--older-than",
    type=click.IntRange(min=1),
    help="Days since it was closed.  [default: keep_closed_days of agency.toml]",
)
@CONFIG
def purge_tips(older_than: int | None, config: Path) -> None:
    """Drop what was closed long ago: what a tip says, its notes, and whom it was told.

    The agent does so by itself every hour. What was published of it stays until the records
    schedule, or `silenthit agency retract`, takes it back.

    Example: silenthit agency tips purge --older-than 90 --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.tip_desk import open_tips

    settings = wiring.load(config)
    if settings.tips is None:
        raise SettingsError("expected [tips] in agency.toml with `protocol`, got none; set it")
    days = older_than or settings.tips.keep_closed_days
    gone = open_tips(settings).purge(timedelta(days=days))
    click.echo(f"{gone:,} tips closed over {days} days ago are gone")


def _action(name: str, text: str, act: Callable[[Tips, bytes, str, str], None]) -> click.Command:
    @click.argument("tip")
    @_WHO
    @_TEXT
    @CONFIG
    def command(tip: str, who: str, text: str, config: Path) -> None:
        store = _open(config)
        found = store.find(tip)
        act(store, found.about, who, text)
        after = _row(store.find(tip))
        click.echo(f"{after['id']}  {after['stage']}  {after['owner'] or 'nobody'}")

    example = f"silenthit agency tips {name} 3f9a02 --as reyes --config agency/agency.toml"
    command.__doc__ = f"{text}\n\nExample: {example}"
    return click.command(name)(command)


def _row(tip: Tip) -> dict[str, Any]:
    from producers.tip_rows import short

    return {
        "id": short(tip.about),
        "heard_at": tip.heard_at.isoformat(timespec="seconds"),
        "stage": tip.case.stage.value,
        "owner": tip.case.owner,
        "called": list(tip.case.called),
        "place": tip.record.place,
    }


def _open(config: Path) -> Tips:
    from producers import agency as wiring
    from producers.tip_desk import open_tips

    return open_tips(wiring.load(config))


for each in (
    _action("claim", "Answer for a TIP: nobody else is called.", lambda s, t, w, _: s.claim(t, w)),
    _action(
        "release",
        "Answer for a TIP no more: it climbs again.",
        lambda s, t, w, x: s.release(t, w, x),
    ),
    _action("note", "Write something down with a TIP.", lambda s, t, w, x: s.note(t, w, x)),
    _action("close", "Be done with a TIP.", lambda s, t, w, x: s.close(t, w, x)),
):
    tips.add_command(each)
