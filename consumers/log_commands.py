"""`silenthit partner audit | roles`: who did and saw what, and who may."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.roles import Right, Role, table
from consumers.times import iso_ms, to_ms
from consumers.vault.log import Entry, Event, check
from consumers.vault.rows import Rows
from silenthit.errors import InputError, SealError

_SHOWN_LINK = 16
_SHORT = 8


@click.command()
@click.option(
    "--about", default="", metavar="ID", help="Of one watch or alert, also in lists seen."
)
@click.option("--who", default="", help="By one person.")
@click.option("--since", type=click.DateTime(), help="UTC.")
@click.option("--last", metavar="NUMBER:LINK", help="What an earlier audit ended with.")
@config_option
@json_option
@example(
    "silenthit partner audit --who okafor --since 2026-11-01\n"
    "silenthit partner audit --about 3f9a1c20 --last 512:9be1a0047c3d52f8"
)
def audit(
    *,
    about: str,
    who: str,
    since: datetime | None,
    last: str | None,
    config: Path,
    as_json: bool,
) -> None:
    """Show who did and saw what, and check that the log is whole.

    Note the last line: given back with --last, it shows that nothing was cut off since.
    """
    noted = _noted(last) if last else None
    with opened(config, calls=False) as ours, ours.vault.read() as rows:
        rows.actor.need(Right.AUDIT)
        every = list(rows.entries())
        _check(rows, every, noted)
    begin = to_ms(since.replace(tzinfo=UTC)) if since else 0
    found = [
        each
        for entry, _ in every
        if entry.at >= begin
        for each in [_shown(entry)]
        if _is_about(each, about.lower()) and who in {"", each["who"]}
    ]
    number, end = (every[-1][0].number, every[-1][1].hex()) if every else (0, "")
    if as_json:
        print_json({"entries": found, "last": f"{number}:{end[:_SHOWN_LINK]}"})
        return
    for each in found:
        click.echo(_line(each))
    click.echo(f"The log is whole; last entry {number}:{end[:_SHOWN_LINK]}")


def _noted(text: str) -> tuple[int, str]:
    number, _, link = text.partition(":")
    if not number.isdigit() or len(link) < _SHORT:
        raise InputError("expected --last NUMBER:LINK as an earlier audit ended with, got another")
    return int(number), link.lower()


def _check(rows: Rows, every: list[tuple[Entry, bytes]], noted: tuple[int, str] | None) -> None:
    """Raise SealError when the log is not whole, or not the one that was noted."""
    check(rows.log_key, every)
    if noted is None:
        return
    number, link = noted
    there = every[number - 1][1].hex() if 0 < number <= len(every) else ""
    if not there.startswith(link):
        raise SealError(
            f"expected entry {number} of the log as it was noted, got another or none: the end was "
            "cut off, or an older backup restored; ask who restored it, and compare the backups"
        )


def _shown(entry: Entry) -> dict[str, Any]:
    event = Event.model_validate_json(entry.content)
    return {
        "number": entry.number,
        "at": iso_ms(entry.at),
        "who": event.who,
        "action": entry.action,
        "about": entry.about.hex() or None,
        "text": event.text,
        "seen": list(event.seen),
    }


def _is_about(each: dict[str, Any], digits: str) -> bool:
    ids = (each["about"] or "", *each["seen"])
    return not digits or any(one.startswith(digits) for one in ids)


def _line(each: dict[str, Any]) -> str:
    ids = " ".join(one[:_SHORT] for one in each["seen"] or filter(None, [each["about"]]))
    said = f": {each['text']}" if each["text"] else ""
    at = each["at"][:19].replace("T", " ")
    return f"{each['number']:>6}  {at}  {each['who'] or '-'}  {each['action']} {ids}{said}"


@click.command()
@json_option
@example("silenthit partner roles")
def roles(*, as_json: bool) -> None:
    """Show what each role may do, command by command."""
    if as_json:
        print_json({line[0]: list(_of(line)) for line in table()})
        return
    shown = Table("command", *Role, box=None, pad_edge=False)
    for line in table():
        shown.add_row(*line)
    Console().print(shown)


def _of(line: tuple[str, ...]) -> Iterator[str]:
    return (role.value for role, may in zip(Role, line[1:], strict=True) if may)
