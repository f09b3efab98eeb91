"""`silenthit agency operation conflicts`: whose operations are in the way of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from producers.command_line import CONFIG, JSON

if TYPE_CHECKING:
    from producers.conflicts import Conflicts, KnownConflict


@click.group()
def conflicts() -> None:
    """Other agencies' operations in the way of one's own: whom to call, and what overlaps.

    The agent receives them by itself and, with `[tips]` set, calls somebody by the call tree.

    Example: silenthit agency operation conflicts list --config agency/agency.toml
    """


@conflicts.command("receive")
@CONFIG
def receive_conflicts(config: Path) -> None:
    """Take in what there is by now, where no agent does.

    Example: silenthit agency operation conflicts receive --config agency/agency.toml
    """
    from producers import agency as wiring

    settings = wiring.load(config)
    with wiring.open_outbox(settings) as outbox:
        desk = wiring.conflict_desk(settings, outbox)
        try:
            desk.receive(1.0)
        finally:
            desk.close()
    click.echo(f"{len(desk.conflicts.all(active=True)):,} conflicts stand")


@conflicts.command("list")
@CONFIG
@click.option("--all", "everything", is_flag=True, help="Withdrawn ones too.")
@JSON
def list_conflicts(config: Path, everything: bool, as_json: bool) -> None:
    """List conflicts: own operation, whom to call, what overlaps.

    Example: silenthit agency operation conflicts list --config agency/agency.toml
    """
    store = _open(config)
    found = [_row(*pair) for pair in store.all(active=not everything)]
    waiting = len(store.waiting())
    if as_json:
        click.echo(json.dumps({"conflicts": found, "waiting_for_a_signer": waiting}))
        return
    for row in found:
        gone = f"  (withdrawn: {row['withdrawn']})" if row["withdrawn"] else ""
        who = ", ".join(filter(None, (row["agency"], row["unit"], row["name"], row["phone"])))
        click.echo(f"{row['id'][:10]}  {row['operation']}  {who}{gone}")
        for each in row["overlaps"]:
            click.echo(f"    {each}")
    if waiting:
        click.echo(
            f"{waiting} not shown: import the agency's signer.json (`silenthit agency trust`)"
        )
    if not found and not waiting:
        click.echo("no conflict stands")


@conflicts.command("show")
@click.argument("conflict")
@CONFIG
@JSON
def show_conflict(conflict: str, config: Path, as_json: bool) -> None:
    """Show whom to call about a CONFLICT, and what overlaps.

    Example: silenthit agency operation conflicts show 3f9a02 --config agency/agency.toml
    """
    row = _row(*_open(config).find(conflict))
    if as_json:
        click.echo(json.dumps(row))
        return
    for key, value in row.items():
        text = "\n             ".join(value) if isinstance(value, list) else value
        if text != "":
            click.echo(f"{key:12} {text}")


def _row(ident: bytes, known: KnownConflict) -> dict[str, Any]:
    card = known.card
    return {
        "id": ident.hex(),
        "operation": known.number,
        "status": "withdrawn" if known.withdrawn else "active",
        "withdrawn": known.withdrawn,
        "agency": card.agency,
        "ori": card.ori,
        "unit": card.unit,
        "name": card.name,
        "phone": card.phone,
        "email": card.email,
        "supervisor": card.supervisor,
        "case_number": card.case_number,
        "overlaps": list(known.overlaps),
        "told_at": known.told_at.isoformat(timespec="seconds"),
        "probes": known.probes,
    }


def _open(config: Path) -> Conflicts:
    from producers import agency as wiring
    from producers.conflicts import Conflicts
    from producers.settings import read_secret

    settings = wiring.load(config)
    return Conflicts(settings.outbox, read_secret(settings.keys.outbox))
