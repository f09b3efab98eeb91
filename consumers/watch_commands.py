"""`silenthit watch list | show | history`: looking at the private watch list."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.history import Event, history, write_down
from consumers.times import iso
from consumers.watch_list import (
    MOST_LISTED,
    Listed,
    count_watches,
    listed,
    waiting_ids,
    watch_named,
    watches_of,
)
from consumers.watch_view import watch_panel
from consumers.watches import Watch

_MOST_SHOWN = 100


@click.command("list")
@click.option("--removed", is_flag=True, help="Removed and expired ones too.")
@click.option("--waiting", is_flag=True, help="Only those that wait for approval.")
@click.option("--search", default="", metavar="TEXT", help="In label, numbers or names, any case.")
@click.option("--limit", type=click.IntRange(1, MOST_LISTED), help="Default: 100, JSON 10,000.")
@config_option
@json_option
@example("silenthit watch list --search heron")
def list_command(
    *, removed: bool, waiting: bool, search: str, limit: int | None, config: Path, as_json: bool
) -> None:
    """List the watches, the newest first."""
    most = limit or (MOST_LISTED if as_json else _MOST_SHOWN)
    with opened(config, calls=False) as ours:
        if waiting:
            ids = waiting_ids(ours.vault)
            found, every = watches_of(ours.vault, ids[:most]), len(ids)
        else:
            found = listed(ours.vault, removed=removed, search=search, limit=most)
            every = len(found) if search or as_json else count_watches(ours.vault, removed=removed)
    if as_json:
        print_json([watch_fields_shown(each) for each in found])
        return
    if not found:
        click.echo(_nothing(search, waiting=waiting))
        return
    Console().print(_table(found))
    if len(found) == most < every:
        click.echo(f"{every - most} more; see --search and --limit")


def _nothing(search: str, *, waiting: bool) -> str:
    if waiting:
        return "No watch waits for approval."
    if search:
        return "No watch holds that text."
    return "No watches. Place one with `silenthit watch add`."


def _table(found: list[Listed]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("id", "label", "case", "subjects", "owner", "state", "expires"):
        table.add_column(title, no_wrap=title in {"id", "state", "expires"})
    for each in found:
        table.add_row(
            each.watch_id.hex()[:8],
            each.watch.label,
            each.watch.case_number,
            " + ".join(_of(each.watch)),
            each.watch.owner,
            each.state,
            f"{each.watch.expires_at:%Y-%m-%d} ({_days_left(each)})",
        )
    return table


def _of(watch: Watch) -> Iterator[str]:
    if watch.subjects or watch.area is None:
        yield str(len(watch.subjects))
    if watch.area is not None:
        yield "place"


def _days_left(each: Listed) -> str:
    left = (each.watch.expires_at - datetime.now(UTC)).days
    return f"{left} days" if left >= 0 else "expired: renew it"


def watch_fields_shown(each: Listed) -> dict[str, Any]:
    """Return a watch for `--json`, without its subjects."""
    watch = each.watch
    return {
        "watch_id": each.watch_id.hex(),
        "label": watch.label,
        "case_number": watch.case_number,
        "owner": watch.owner,
        "backup": watch.backup,
        "state": each.state,
        "registrations": len(each.states),
        "kinds": list(watch.kinds),
        "deliver_to": list(watch.deliver_to),
        "created_at": iso(each.created_at),
        "approved_at": iso(each.approved_at) if each.approved_at else None,
        "expires_at": iso(watch.expires_at),
        "ends_at": iso(watch.ends_at) if watch.ends_at else None,
        "removed_at": iso(each.removed_at) if each.removed_at else None,
    }


@click.command()
@click.argument("name", metavar="ID|LABEL")
@config_option
@json_option
@example("silenthit watch show 3f9a")
def show(*, name: str, config: Path, as_json: bool) -> None:
    """Show a watch with its subjects, in plaintext."""
    with opened(config, calls=False) as ours:
        found = watch_named(ours.vault, name)
        with ours.vault.write() as into:
            write_down(into, found.watch_id, "viewed", Event(who=ours.who), ours.now())
    if as_json:
        print_json({**watch_fields_shown(found), **found.watch.model_dump(mode="json")})
    else:
        Console().print(watch_panel(found))


@click.command("history")
@click.argument("name", metavar="ID|LABEL")
@config_option
@json_option
@example("silenthit watch history 3f9a")
def history_command(*, name: str, config: Path, as_json: bool) -> None:
    """Show what was done to a watch, by whom and when."""
    with opened(config, calls=False) as ours:
        found = watch_named(ours.vault, name)
        with ours.vault.read() as rows:
            done = history(rows, found.watch_id)
    if as_json:
        print_json(done)
        return
    for each in done:
        told = f": {each['text']}" if each["text"] else ""
        who = each["who"] or "by itself"
        click.echo(f"{each['at'][:16].replace('T', ' ')}  {each['action']} {who}{told}")
