"""Print what `explain` found, for a person at a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.tree import Tree


def show(view: dict[str, Any]) -> None:
    """Print the record, a table of match keys a subject, and the exchange's view."""
    console = Console()
    console.print(_record(view))
    for number, subject in enumerate(view["subjects"]):
        console.print(f"\n[bold]subject {number}[/bold]  {_standing(subject)}")
        console.print(_keys(subject))
    console.print("\n[bold]what the exchange will see, and nothing else[/bold]")
    console.print(_exchange(view["exchange_sees"]))


def _record(view: dict[str, Any]) -> Tree:
    record = view["record"]
    tree = Tree(f"[bold]record {record['number']}[/bold]  {record['kind']}")
    for field in ("occurred_at", "place", "offences", "indicators"):
        if record[field]:
            tree.add(f"{field}  {record[field]}")
    for item in record["items"]:
        tree.add(f"item  {item['kind']} {item['issuer']} {item['value']}")
    if record["narrative"]:
        whom = "every opener" if view["narrative_shared"] else "nobody"
        tree.add(f"narrative of {len(record['narrative']):,} characters, shared with {whom}")
    return tree


def _standing(subject: dict[str, Any]) -> str:
    mentioned = ", only mentioned in the narrative" if subject["mentioned"] else ""
    return f"{subject['role']}{mentioned}; part read by {subject['part_read_by']}"


def _keys(subject: dict[str, Any]) -> Table:
    table = Table()
    for column in ("match key", "strength", "value"):
        table.add_column(column)
    for key in subject["match_keys"]:
        table.add_row(key["kind"], key["strength"], key["value"])
    return table


def _exchange(seen: dict[str, Any]) -> Table:
    table = Table(show_header=False)
    for name, value in seen.items():
        if isinstance(value, dict):
            value = ", ".join(f"{count} {kind}" for kind, count in value.items())  # noqa: PLW2901
        table.add_row(name, str(value))
    return table
