"""Ask over Kafka: one inquiry out, its answer in, and nothing read that was there before."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from schemas import codec
from schemas.codec import WireError
from schemas.inquiries import Answer, AnswerBody, AnswerStatus
from schemas.topics import ANSWERS, INQUIRIES
from silenthit.blinding.envelope import open_sealed
from silenthit.bus.clients import KafkaSettings, Message, Publisher, TopicReader
from silenthit.bus.sender import SenderKey, sender_headers
from silenthit.errors import InputError, QuotaError, RetryError
from silenthit.look_up.question import Question

PATIENCE_S = 30.0
_READ_S = 1.0
_MINUTES_FROM_S = 120


class Asker:
    """One organisation's way to ask, connected. For one thread at a time."""

    def __init__(
        self,
        bus: KafkaSettings,
        organisation: str,
        *,
        client_id: str,
        sender: SenderKey | None = None,
    ) -> None:
        """`organisation` is its name in topics; an agency proves itself with its `sender` key."""
        self._inquiries, self._sender = INQUIRIES.of(organisation), sender
        answers = ANSWERS.of(organisation)
        self._reader = TopicReader(bus, [answers], client_id=client_id, from_end=True)
        self._publisher = Publisher(bus, client_id=client_id, linger_ms=0)  # somebody waits

    def ask(self, question: Question, patience_s: float = PATIENCE_S) -> AnswerBody:
        """Send a question and return its answer.

        Raises RetryError when no answer came in time, QuotaError when the exchange's quota is
        spent, InputError when it refuses the form, SealError for an answer that does not open.
        """
        deadline = time.monotonic() + patience_s
        self.send(question, patience_s)
        while time.monotonic() < deadline:
            found = self.answers({question.inquiry.inquiry_id: question}, deadline)
            if found:
                return checked(found[0][1])
        raise RetryError(
            f"expected an answer within {patience_s:g} s, got none; try again, and ask the "
            "operator of the exchange whether `silenthit exchange answer` runs"
        )

    def send(self, question: Question, patience_s: float = PATIENCE_S) -> None:
        """Send a question; return once the broker has it. Raises RetryError when it is away."""
        inquiry_id, value = question.inquiry.inquiry_id, codec.encode(question.inquiry)
        headers = sender_headers(self._sender, inquiry_id, value) if self._sender else ()
        sent = self._publisher.send(self._inquiries, inquiry_id, value, headers=headers)
        try:
            sent.result(patience_s)
        except TimeoutError:
            raise RetryError(
                f"expected the broker to take the inquiry within {patience_s:g} s, it did not; try "
                "again when it is up"
            ) from None

    def answers(
        self, asked: dict[bytes, Question], deadline: float
    ) -> list[tuple[bytes, AnswerBody]]:
        """Wait, a second or until the deadline, for answers to these questions; open them."""
        left = min(_READ_S, max(0.0, deadline - time.monotonic()))
        messages = self._reader.read(1_000, left)
        return [
            (message.key, _opened(asked[message.key], message))
            for message in messages
            if message.key in asked
        ]

    def close(self) -> None:
        """Close both connections."""
        self._publisher.close(timeout=0.5)  # what it has not confirmed nobody waits for any more
        self._reader.close()

    def __enter__(self) -> Self:
        """Return the asker, connected."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def _opened(question: Question, message: Message) -> AnswerBody:
    try:
        answer = codec.decode(message.value or b"", Answer)
        sealed = open_sealed(question.reply_key, answer.sealed, question.inquiry.inquiry_id)
        return codec.decode(sealed, AnswerBody)
    except WireError:
        raise InputError(
            "expected an answer of this version, got another; update silenthit on the older side"
        ) from None


def checked(body: AnswerBody) -> AnswerBody:
    """Return a body that was answered. Raises QuotaError or InputError for one that was not."""
    if body.status is AnswerStatus.QUOTA_SPENT:
        raise QuotaError(
            "expected look-ups left of this organisation's quota at the exchange, got none; come "
            f"back in {_time_said(body.after_s)}, or ask the exchange's operator for a larger one",
            after_s=body.after_s,
        )
    if body.status is not AnswerStatus.ANSWERED:
        raise InputError("expected the exchange to take the inquiry, got a refusal of its form")
    return body


def _time_said(seconds: int) -> str:
    return f"{seconds} s" if seconds < _MINUTES_FROM_S else f"{-(-seconds // 60)} minutes"
