"""`silenthit coverage`: agency by agency, when the last canary came through."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumers.canaries import Canary, canaries
from consumers.cases import case_of
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.coverage import add_canaries, uncovered
from consumers.receiving import care
from consumers.times import iso
from consumers.vault import Rows

_STYLE = {"in time": "green", "missed": "bold red", "waiting": "yellow", "no canary watch": "dim"}


@click.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
@example("silenthit coverage --config fbi/partner.toml\nsilenthit coverage add")
def coverage(ctx: click.Context, *, config: Path, as_json: bool) -> None:
    """Show, agency by agency, when the last canary came through.

    A canary is a synthetic touch that each agency publishes every hour. It goes the whole way of
    a real one; `alerts receive` calls the operator of the protocol when it fails to come.
    """
    if ctx.invoked_subcommand is not None:
        return
    with opened(config) as ours, ours.vault.read() as rows:
        found = _lines(rows, ours.settings.canary_missed_after, ours.now())
    if as_json:
        print_json(found)
    elif found:
        Console().print(_table(found))
    else:
        click.echo("No agency is trusted yet; see `silenthit partner trust`.")


@coverage.command()
@config_option
@json_option
@example("silenthit coverage add --config fbi/partner.toml")
def add(*, config: Path, as_json: bool) -> None:
    """Watch for the canary of every trusted agency that has no canary watch yet."""
    with opened(config) as ours:
        added = add_canaries(ours)
        if added:
            care(ours.as_process())
    if as_json:
        print_json({"added": added})
    else:
        click.echo(f"{len(added)} canary watches added" + "".join(f"\n  {ori}" for ori in added))


def _lines(rows: Rows, limit: timedelta, now: datetime) -> list[dict[str, Any]]:
    lines = [_line(rows, each, limit, now) for each in canaries(rows)]
    empty = dict.fromkeys(("published_at", "arrived_at", "owner"))
    for ori, agency in uncovered(rows).items():
        lines.append({"ori": ori, "agency": agency, "state": "no canary watch", **empty})
    return sorted(lines, key=lambda each: str(each["ori"]))


def _line(rows: Rows, each: Canary, limit: timedelta, now: datetime) -> dict[str, Any]:
    overdue = now - (each.published_at or each.placed_at) > limit
    waiting = "waiting" if each.published_at is None else "in time"
    case = case_of(rows, each.about)
    return {
        "ori": each.ori,
        "agency": each.agency,
        "state": "missed" if overdue else waiting,
        "published_at": iso(each.published_at) if each.published_at else None,
        "arrived_at": iso(each.arrived_at) if each.arrived_at else None,
        "owner": (case.owner or None) if case else None,
    }


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("agency", "ori", "canary", "last one", "answers for it"):
        table.add_column(title)
    for each in found:
        last = (each["arrived_at"] or "never")[:16].replace("T", " ")
        state = Text(each["state"], style=_STYLE[each["state"]])
        table.add_row(each["agency"], each["ori"], state, last, each["owner"] or "")
    return table
