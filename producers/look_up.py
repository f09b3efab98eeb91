"""An agency's look-up: its touch into the outbox first, then the question, then whom to call.

A look-up is itself a touch. Whoever watches the subject silently learns who asked; nobody finds it
by another look-up.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from producers import agency as wiring
from producers.look_up_book import LookUpBook
from producers.records import Contact, Record, Rejection
from producers.settings import AgencySettings, read_secret
from schemas.inquiries import Purpose
from schemas.parts import Subject
from schemas.vocabulary import TouchKind
from silenthit.blinding.access import open_blinding
from silenthit.errors import InputError, RefusedError, SilentHitError
from silenthit.look_up.asking import Asker
from silenthit.look_up.findings import Findings, findings
from silenthit.look_up.question import Question, question
from silenthit.look_up.signers import trusted


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What an officer asks, and on whose behalf."""

    subject: Subject = field(repr=False)
    purpose: Purpose
    case_number: str = field(repr=False)
    officer: Contact = field(repr=False)

    def record(self, inquiry_id: bytes) -> Record:
        """The touch that this look-up is."""
        return Record(
            number=f"inquiry-{inquiry_id.hex()}",
            kind=TouchKind.INQUIRY,
            occurred_at=datetime.now(UTC),
            contact=self.officer.model_copy(update={"case_number": self.case_number}),
            subjects=(self.subject,),
            narrative=f"Looked up. Stated purpose: {self.purpose.value.replace('_', ' ')}.",
            read_from="the look-up",
        )


def look_up(settings: AgencySettings, request: Request, patience_s: float) -> Findings:
    """Publish the look-up as a touch, ask, and return whom to call.

    Raises RefusedError where the agency's own sharing policy would keep the touch back, InputError
    for too little to find anybody by, RetryError when a service is away, QuotaError.
    """
    _check(request)
    with open_blinding(settings.blinding) as (prf, epochs):
        asked = question(
            request.subject,
            purpose=request.purpose,
            prf=prf,
            epochs=epochs,
            area_code=settings.area_code,
        )
    inquiry_id = asked.inquiry.inquiry_id
    with closing(open_book(settings)) as book:
        book.asked(inquiry_id, _for_the_book(request))
        try:
            _publish(settings, request.record(inquiry_id), patience_s)
            found = _asked(settings, asked, patience_s)
        except SilentHitError as error:
            book.ended(inquiry_id, type(error).__name__)
            raise
        book.ended(inquiry_id, "answered", len(found.contacts))
        return found


def open_book(settings: AgencySettings) -> LookUpBook:
    """Open the agency's record of look-ups."""
    return LookUpBook(settings.outbox, read_secret(settings.keys.outbox))


def _check(request: Request) -> None:
    if not request.case_number.strip():
        raise InputError("expected the case number that the look-up is for; give --case-number")
    if not (request.officer.name.strip() and request.officer.phone.strip()):
        raise InputError("expected who asks, with a number to call; give --officer and its phone")


def _publish(settings: AgencySettings, record: Record, patience_s: float) -> None:
    """Send the look-up's touch out; return once the broker has it."""
    kept_back: list[Rejection] = []
    with wiring.open_outbox(settings) as outbox:
        tally = wiring.intake(settings, outbox).take([record], kept_back.append)
        if kept_back:
            raise InputError(str(kept_back[0]))
        if not tally.new:
            raise RefusedError(
                "expected a sharing policy that lets look-ups be touches, got one that keeps them "
                "back; allow the kind `inquiry`, the role `unknown` and this unit in [sharing], or "
                "look up from another unit: nobody looks up unseen"
            )
        with wiring.open_dispatcher(settings, outbox, confirm_s=max(patience_s, 1)) as dispatcher:
            dispatcher.publish_patiently(patience_s)


def _asked(settings: AgencySettings, asked: Question, patience_s: float) -> Findings:
    ori, signer = settings.ori.lower(), settings.signer()
    client = f"agency-{ori}-look-up"
    with Asker(settings.bus.agency, ori, client_id=client, sender=settings.sender_key()) as asker:
        body = asker.ask(asked, patience_s)
    keys = trusted(settings.signers) | {signer.key_id: signer.key.public_key()}
    return findings(body, asked.token_secrets, keys)


def _for_the_book(request: Request) -> dict[str, object]:
    return {
        "officer": request.officer.name,
        "unit": request.officer.unit,
        "purpose": request.purpose.value,
        "case_number": request.case_number,
        "subject": request.subject.model_dump(mode="json", exclude_defaults=True),
    }
