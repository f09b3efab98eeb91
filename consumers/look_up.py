"""`silenthit lookup`: a partner asks who has touched a subject. Nobody learns that it asked.

Never a touch and never a pointer: the exchange sees tokens in the partner's own topic, and its
book counts one look-up more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rich_click as click

from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.history import Event, write_down
from consumers.partner import Partner
from consumers.signers import verify_keys
from schemas.inquiries import Purpose
from schemas.parts import Subject
from silenthit.errors import InputError, SilentHitError
from silenthit.look_up.asking import PATIENCE_S, Asker
from silenthit.look_up.findings import Findings, as_text, findings
from silenthit.look_up.findings import as_json as plain
from silenthit.look_up.question import question
from silenthit.subject_options import read_subject, subject_options


@click.command()
@subject_options
@click.option(
    "--purpose",
    type=click.Choice([each.value for each in Purpose]),
    required=True,
    help="Why; the exchange counts by it.",
)
@click.option("--case-number", required=True, help="What the look-up is for; it stays here.")
@click.option(
    "--wait",
    type=click.FloatRange(min=1),
    default=PATIENCE_S,
    show_default=True,
    help="Seconds to wait for the answer.",
)
@config_option
@json_option
@example(
    "silenthit lookup --surname Doe --given John --birth-date 1980-01-02 \\\n"
    "    --purpose investigation --case-number 50A-NH-1 --config fbi/partner.toml"
)
def lookup(
    *, purpose: str, case_number: str, wait: float, config: Path, as_json: bool, **subject: Any
) -> None:
    """Ask who has touched a subject or victim, and whom to call there; silently.

    Unlike an agency's, a partner's look-up is no touch: nobody is told of it. It is written to the
    partner's own log, and counts against its quota at the exchange.
    """
    if not case_number.strip():
        raise InputError("expected the case number that the look-up is for; give --case-number")
    with opened(config, calls=False) as ours:
        found = look_up(ours, read_subject(subject), Purpose(purpose), case_number, wait)
    if as_json:
        print_json(plain(found))
    else:
        click.echo(as_text(found))


def look_up(
    ours: Partner, subject: Subject, purpose: Purpose, case_number: str, patience_s: float
) -> Findings:
    """Write the look-up down, ask, and return whom to call.

    Raises InputError for too little to find anybody by, RetryError when a service is away,
    QuotaError.
    """
    with ours.blinding() as blinding:
        asked = question(subject, purpose=purpose, prf=blinding.prf, epochs=blinding.epochs())
    about = asked.inquiry.inquiry_id
    said = {
        "purpose": purpose.value,
        "case_number": case_number,
        "subject": subject.model_dump(mode="json", exclude_defaults=True),
    }
    _note(ours, about, "looked_up", json.dumps(said))
    name, bus = ours.settings.name, ours.settings.bus.partner
    try:
        with Asker(bus, name, client_id=f"partner-{name}-look-up") as asker:
            body = asker.ask(asked, patience_s)
    except SilentHitError as error:
        _note(ours, about, "not_answered", type(error).__name__)
        raise
    with ours.vault.read() as rows:
        keys = verify_keys(rows)
    found = findings(body, asked.token_secrets, keys)
    _note(ours, about, "answered", f"{len(found.contacts)} contacts")
    return found


def _note(ours: Partner, about: bytes, action: str, text: str) -> None:
    with ours.vault.write() as into:
        write_down(into, about, action, Event(who=ours.who, text=text), ours.now())
