"""`silenthit agency lookup`, its book `lookups`, and `trust`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rich_click as click

from producers.command_line import CONFIG, JSON, progress
from schemas.inquiries import Purpose
from silenthit.look_up.asking import PATIENCE_S
from silenthit.subject_options import subject_options


@click.command()
@subject_options
@click.option(
    "--purpose",
    type=click.Choice([each.value for each in Purpose]),
    required=True,
    help="Why; the exchange counts by it.",
)
@click.option("--case-number", required=True, help="What the look-up is for; it stays here.")
@click.option("--officer", required=True, help="Who asks, by name.")
@click.option("--officer-phone", required=True, help="Where somebody who watches may call back.")
@click.option("--unit", default="")
@click.option(
    "--wait",
    type=click.FloatRange(min=1),
    default=PATIENCE_S,
    show_default=True,
    help="Seconds to wait for the answer.",
)
@CONFIG
@JSON
def lookup(
    *,
    purpose: str,
    case_number: str,
    officer: str,
    officer_phone: str,
    unit: str,
    wait: float,
    config: Path,
    as_json: bool,
    **subject: Any,
) -> None:
    """Ask who has touched a subject or victim, and whom to call there.

    The look-up is itself a touch: somebody who watches the subject silently learns who asked. Exit
    code 4 when no answer came or the quota is spent; asking again is another look-up.

    Example: silenthit agency lookup --surname Quimby --given Ana --birth-date 1990-02-03
    --purpose investigation --case-number 26-0117 --officer "Det. Lee" --officer-phone 802-555-0199
    --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.look_up import Request, look_up
    from producers.records import Contact
    from silenthit.look_up.findings import as_json as plain
    from silenthit.look_up.findings import as_text
    from silenthit.subject_options import read_subject

    request = Request(
        subject=read_subject(subject),
        purpose=Purpose(purpose),
        case_number=case_number,
        officer=Contact(name=officer, phone=officer_phone, unit=unit),
    )
    with progress("asking", None):
        found = look_up(wiring.load(config), request, wait)
    click.echo(json.dumps(plain(found)) if as_json else as_text(found))


@click.command()
@CONFIG
@JSON
def lookups(config: Path, as_json: bool) -> None:
    """List this agency's look-ups: who looked up whom, why, and what came of it.

    Example: silenthit agency lookups --config agency/agency.toml
    """
    from contextlib import closing

    from producers import agency as wiring
    from producers.look_up import open_book

    with closing(open_book(wiring.load(config))) as book:
        for line in book.lines():
            text = "{asked_at}  {officer}  {purpose}  {case_number}  {status}, {contacts} contacts"
            click.echo(json.dumps(line) if as_json else text.format_map(line))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@CONFIG
def trust(files: tuple[Path, ...], config: Path) -> None:
    """Accept the signatures of other agencies, so that look-ups show their cards.

    Example: silenthit agency trust millbrook/signer.json --config agency/agency.toml
    """
    from producers import agency as wiring
    from silenthit.look_up.signers import trust as keep

    settings = wiring.load(config)
    for each in files:
        click.echo(f"trusted  {keep(settings.signers, each)}")


LOOK_UP_COMMANDS = (lookup, lookups, trust)
