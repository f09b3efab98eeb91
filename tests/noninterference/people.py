"""People of whom a partner watches every other one, and what an agency sends about them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from random import Random
from typing import Any

from schemas import codec
from schemas.inquiries import Inquiry, Purpose
from schemas.messages import SubjectTouch, TouchHeader
from schemas.packing import TOKEN, pack
from schemas.topics import INQUIRIES, TOUCHES
from schemas.vocabulary import CoarseKind
from silenthit.blinding.envelope import fresh_key
from silenthit.blinding.prf import Token
from silenthit.bus.sender import SenderKey, sender_headers
from tests.exchange_room import identified, ssn, touch_of

ACKNOWLEDGED = range(200)
CIRCLE = 20  # people whose touches lie side by side
CIRCLES = tuple(range(start, start + CIRCLE) for start in range(200, 2_200, CIRCLE))
EVERYBODY = range(CIRCLES[-1].stop)


def is_watched(person: int) -> bool:
    return person % 2 == 0


def known_by(person: int) -> Token:
    return ssn(str(person))


def drawn(random: Random, people: range, watched_share: float = 0.5) -> int:
    """Return somebody, watched or not as a coin has it."""
    watched = random.random() < watched_share
    pairs = range(people.start // 2, people.stop // 2)
    return 2 * random.choice(pairs) + (0 if watched else 1)


@dataclass(frozen=True)
class Sent:
    """A message that is ready to be handed over."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass
class LookUp:
    """One officer's look-up: its touch, then its inquiry; and when what happened, in seconds."""

    watched: bool
    touch: Sent
    inquiry: Sent
    reply_key: Any = field(repr=False)
    started: float = 0.0  # the touch was handed over
    asked: float = 0.0  # the inquiry was, once the touch was acknowledged
    answered: float = 0.0
    answer: bytes = b""


class Writer:
    """What an agency writes of these people: each is sealed once, only headers change."""

    def __init__(self, sender: SenderKey) -> None:
        self._sender = sender
        self._sealed: dict[int, SubjectTouch] = {}

    def touch(self, person: int, record: str, kind: CoarseKind = CoarseKind.CONTACT) -> Sent:
        record_id = identified(record)
        header = TouchHeader(
            record_id=record_id, revision=1, sender=self._sender.key_id, epoch=1,
            expiry_month="2031-01", kind=kind,
        )  # fmt: skip
        if person not in self._sealed:
            self._sealed[person] = touch_of(person, [known_by(person)], sender=self._sender)
        touch = self._sealed[person].model_copy(update={"header": codec.encode(header)})
        return self._sent(TOUCHES.name, record_id, codec.encode(touch))

    def look_up(self, person: int, record: str) -> LookUp:
        private, public = fresh_key()
        known, inquiry_id = known_by(person), secrets.token_bytes(16)
        inquiry = Inquiry(
            inquiry_id=inquiry_id,
            purpose=Purpose.INVESTIGATION,
            tokens=pack([(0, known.kind, known.value)], TOKEN),
            reply_key=public,
        )
        topic = INQUIRIES.of(self._sender.organisation.lower())
        return LookUp(
            watched=is_watched(person),
            touch=self.touch(person, record, CoarseKind.INQUIRY),
            inquiry=self._sent(topic, inquiry_id, codec.encode(inquiry)),
            reply_key=private,
        )

    def _sent(self, topic: str, key: bytes, value: bytes) -> Sent:
        return Sent(topic, key, value, list(sender_headers(self._sender, key, value)))
