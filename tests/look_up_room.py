"""Look-ups for tests: a matching worker's pointers, touches in a list, askers with their tokens."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas import codec
from schemas.inquiries import Answer, AnswerBody, Inquiry, Purpose
from schemas.packing import TOKEN, pack
from schemas.topics import ANSWER_DISCLOSURES, INQUIRIES
from silenthit.blinding.cards import OpenedCard, open_card
from silenthit.blinding.envelope import fresh_key, open_sealed
from silenthit.blinding.prf import Token
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, sender_headers
from silenthit.clock import Clock, SystemClock
from silenthit.errors import RetryError
from silenthit.look_up.question import Question
from stream_processors.answer import Answerer
from stream_processors.answer_book import Book
from stream_processors.answer_disclosures import AnswerDisclosures
from stream_processors.answer_publications import Publications
from stream_processors.answer_quota import LookUpSettings, Quota
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.disclosures import Chain
from stream_processors.look_up import LookUp
from stream_processors.look_up_index import LookUpIndex
from stream_processors.outgoing import Outgoing
from stream_processors.pointers import EMBEDDED_REDIS, Pointers, open_redis
from tests.exchange_room import EPOCHS, HARBOR, MILLBROOK, SIGNER, Room, touch_of

KEYS = {key.key_id: key for key in (HARBOR, MILLBROOK)}
TRUSTED = {SIGNER.key_id: SIGNER.key.public_key()}
NOW = 1_800_000_000_000


def rows_of(*tokens: Token) -> bytes:
    return pack([(0, int(each.kind), each.value) for each in tokens], TOKEN)


def asked(*tokens: Token) -> Question:
    """A question about a subject with these tokens."""
    private, public = fresh_key()
    inquiry = Inquiry(
        inquiry_id=secrets.token_bytes(16),
        purpose=Purpose.INVESTIGATION,
        tokens=rows_of(*tokens),
        reply_key=public,
    )
    return Question(
        inquiry=inquiry,
        token_secrets={each.value: each.secret for each in tokens},
        reply_key=private,
    )


def inquiry_message(
    question: Question, organisation: str = "ma0140200", sender: SenderKey | None = MILLBROOK
) -> Message:
    key, value = question.inquiry.inquiry_id, codec.encode(question.inquiry)
    headers = sender_headers(sender, key, value) if sender else ()
    return Message(INQUIRIES.of(organisation), 0, 7, NOW, key, value, headers)


@dataclass
class Disclosed:
    """What was written down, each with how many answers had been given by then."""

    desk: Desk
    links: list[Outgoing] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    failures: int = 0

    async def send(self, messages: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise RetryError("expected confirmed messages, got none")
        self.links += messages
        self.after += [len(self.desk.sent)] * len(messages)


@dataclass
class Desk:
    """An answering worker beside the matching worker of a room."""

    folder: Path
    settings: LookUpSettings = field(default_factory=LookUpSettings)
    room: Room = field(default_factory=Room)
    lying: dict[tuple[int, int], Message] = field(default_factory=dict)
    sent: list[Outgoing] = field(default_factory=list)
    clock: Clock = field(default_factory=SystemClock)
    disclosing: DisclosureSettings = field(default_factory=DisclosureSettings)

    def __post_init__(self) -> None:
        pointers = self.room.worker.pointers
        self.index = LookUpIndex(pointers._redis, Pointers(pointers._redis))
        self.look_up = LookUp(
            index=self.index,
            touches=self,
            publications=Publications(),
            keys=KEYS,
            epochs=EPOCHS,
        )
        self.disclosed = Disclosed(self)
        self.chain = Chain(
            self.disclosing, process="a1-answer", heads=self.folder, topic=ANSWER_DISCLOSURES
        )
        self.answerer = Answerer(
            name="a1",
            look_up=self.look_up,
            quota=Quota(open_redis(EMBEDDED_REDIS), self.settings),
            book=Book(self.folder),
            set_aside=self.room,
            disclosures=AnswerDisclosures(self.chain, self.disclosed),
            keys=KEYS,
            partners=("fbi",),
            clock=self.clock,
        )

    async def read(self, places: Sequence[tuple[int, int]]) -> list[Message]:
        return [self.lying[place] for place in places if place in self.lying]

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self.sent += messages

    async def touched(self, record: str, *subjects: Sequence[Token], **more: object) -> None:
        await self.lay(self.room.message(touch_of(record, *subjects, **more), record))  # type: ignore[arg-type]

    async def lay(self, message: Message) -> None:
        """Let the matching worker take a message that lies in the topic."""
        self.lying[message.partition, message.offset] = message
        await self.room.worker.take_touches([message])

    async def found(self, *tokens: Token) -> list[OpenedCard]:
        """What an asker with these tokens opens."""
        found = await self.look_up.find(rows_of(*tokens), NOW)
        mine = {each.value: each.secret for each in tokens}
        return [open_card(card, mine, TRUSTED) for card in found.cards]

    async def ask(self, question: Question) -> AnswerBody:
        """Ask as an agency; return the answer, opened."""
        await self.answerer.take(inquiry_message(question), self)
        return self.opened(question)

    def opened(self, question: Question) -> AnswerBody:
        answer = codec.decode(self.sent[-1].value or b"", Answer)
        sealed = open_sealed(question.reply_key, answer.sealed, question.inquiry.inquiry_id)
        return codec.decode(sealed, AnswerBody)
