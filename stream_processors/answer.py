"""Answer one inquiry: quota, look-up, padded and sealed answer, a line in the book.

This process has no right to watches: it reads inquiries, touches, pointers and publications.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from schemas import codec
from schemas.inquiries import Answer, AnswerBody, AnswerStatus, Inquiry
from schemas.topics import ANSWERS
from silenthit.blinding.envelope import MOST_BYTES, seal_to
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey
from silenthit.clock import Clock, SystemClock
from silenthit.errors import InputError
from stream_processors.admission import Place, Reason, Refused
from stream_processors.answer_book import Book
from stream_processors.answer_disclosures import AnswerDisclosures
from stream_processors.answer_quota import Quota
from stream_processors.disclosures import Given
from stream_processors.look_up import Found, LookUp
from stream_processors.look_up_admission import AdmittedInquiry, admit_inquiry
from stream_processors.outgoing import Outbound, Outgoing
from stream_processors.quarantine import quarantined

TICK_S = 0.05  # several times what a look-up takes


@dataclass(kw_only=True, slots=True)
class Tally:
    """What an answering worker did, for its metrics."""

    answered: int = 0
    over_quota: int = 0
    refused: int = 0


class Answerer:
    """Answers inquiries, any number at a time."""

    def __init__(
        self,
        *,
        name: str,
        look_up: LookUp,
        quota: Quota,
        book: Book,
        set_aside: Outbound,
        disclosures: AnswerDisclosures,
        keys: Mapping[str, SenderKey],
        partners: Collection[str],
        clock: Clock | None = None,
    ) -> None:
        """`keys` and `partners` say who is enrolled; the owner may replace them."""
        self.keys, self.partners = keys, partners
        self.tally = Tally()
        self._name, self._look_up, self._quota, self._book = name, look_up, quota, book
        self._set_aside, self._disclosures = set_aside, disclosures
        self._clock = clock or SystemClock()

    async def take(self, message: Message, outbound: Outbound) -> None:
        """Answer a message of `inquiries.<org>`; on return the answer is confirmed.

        `outbound` leads to the bus that the inquiry came from. What nobody can be answered about is
        set aside. Raises RetryError or a Redis error when a service is away.
        """
        begun = self._clock.monotonic()
        admitted = admit_inquiry(message, self.keys, self.partners)
        if isinstance(admitted, Refused):
            return await self.refuse([admitted])
        body = await self._body(admitted)
        answer = _answer(admitted.inquiry, body)
        if answer is None:
            return await self.refuse([Refused(admitted.place, Reason.MALFORMED)])
        await self._disclosures.leave(self._given(admitted, body))
        await self._clock.sleep(_until_tick(self._clock.monotonic() - begun))
        await outbound.send([answer_to(admitted.organisation, answer)])
        self._book.write(
            at=admitted.place.appended_at,
            organisation=admitted.organisation,
            purpose=admitted.inquiry.purpose,
            status=body.status,
            cards=len(body.cards),
        )
        return None

    def _given(self, admitted: AdmittedInquiry, body: AnswerBody) -> Given:
        asker, inquiry_id = admitted.organisation, admitted.inquiry.inquiry_id
        if asker in self.partners:
            return Given(inquiry_id=inquiry_id, body=body, partner=asker)
        return Given(inquiry_id=inquiry_id, body=body, agency=asker.upper())  # its ORI

    async def give_up(self, message: Message) -> None:
        """Set a message aside that could not be answered for a fault of ours."""
        await self.refuse([Refused(Place.of(message), Reason.WORKER_ERROR)])

    async def refuse(self, refused: list[Refused]) -> None:
        """Quarantine messages."""
        await self._set_aside.send([quarantined(each, self._name) for each in refused])
        self.tally.refused += len(refused)

    async def _body(self, admitted: AdmittedInquiry) -> AnswerBody:
        if not admitted.well_formed:
            self.tally.refused += 1
            return AnswerBody(status=AnswerStatus.MALFORMED)
        at = admitted.place.appended_at
        wait_s = await self._quota.spend(admitted.organisation, admitted.inquiry.inquiry_id, at)
        if wait_s:
            self.tally.over_quota += 1
            return AnswerBody(status=AnswerStatus.QUOTA_SPENT, after_s=wait_s)
        found = await self._look_up.find(admitted.inquiry.tokens, at)
        self.tally.answered += 1
        return _fitting(found)


def _fitting(found: Found) -> AnswerBody:
    """Leave out the oldest cards of an answer that would be too large."""
    cards, more = found.cards, found.more
    while True:
        body = AnswerBody(status=AnswerStatus.ANSWERED, cards=cards, more=more)
        if len(codec.encode(body)) <= MOST_BYTES:
            return body
        cards, more = cards[: len(cards) * 3 // 4], True


def _until_tick(passed_s: float) -> float:
    """How long an answer is held: its time is a count of ticks, so that few things can be told.

    Matching and look-ups share Redis, and perhaps a machine: the work that an alert makes may slow
    a look-up by parts of a millisecond.
    """
    return -passed_s % TICK_S


def _answer(inquiry: Inquiry, body: AnswerBody) -> Answer | None:
    """Seal an answer; None when the inquiry's key is none."""
    try:
        sealed = seal_to(inquiry.reply_key, codec.encode(body), inquiry.inquiry_id)
    except InputError:
        return None
    return Answer(inquiry_id=inquiry.inquiry_id, sealed=sealed)


def answer_to(organisation: str, answer: Answer) -> Outgoing:
    """Return the message that carries an answer."""
    return Outgoing(
        topic=ANSWERS.of(organisation), key=answer.inquiry_id, value=codec.encode(answer)
    )
