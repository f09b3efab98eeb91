"""A partner, an agency and an exchange in one process: the real code of each, lists for the bus."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from consumers import following
from consumers.inbox import Outcome
from consumers.placing import expire_watches
from consumers.registrations import deliver, unconfirmed
from schemas import codec
from schemas.parts import Subject
from schemas.topics import ALERTS, TOUCHES
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, sender_headers
from stream_processors.checkpoint import Checkpoints
from stream_processors.look_back import LookBack
from stream_processors.pointers import EMBEDDED_REDIS, open_redis
from tests import exchange_room
from tests.partner_room import NOW, NOW_MS, ORI, PARTNER, Room, record_id

SENDER = SenderKey(f"{ORI}#1", b"h" * 32)


class TouchLog:
    """Touches as Kafka keeps them."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], Message] = {}

    async def fetch(self, places: Sequence[tuple[int, int]]) -> list[Message]:
        return [self.held[place] for place in places if place in self.held]


@dataclass
class FollowingRoom:
    """What is published meets what is watched, and the partner reads and follows until all is."""

    partner: Room
    exchange: exchange_room.Room = field(default_factory=exchange_room.Room)
    log: TouchLog = field(default_factory=TouchLog)
    waiting: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    now: datetime = NOW
    offset: int = 0
    read: int = 0

    @classmethod
    async def make(cls, folder: Path) -> FollowingRoom:
        room = cls(Room.make(folder))
        room.exchange.worker.keys[SENDER.key_id] = SENDER
        room.look_back = LookBack(
            room.exchange.worker, Checkpoints(open_redis(EMBEDDED_REDIS)), room.log
        )
        await room.look_back.own([0], {}, exchange_room.owned)
        return room

    look_back: LookBack = field(init=False)

    async def publish(
        self, record: str, *subjects: Subject, revision: int = 1, at: datetime = NOW
    ) -> None:
        touch = self.partner.touch(*subjects, record=record, revision=revision, at=at)
        await self._take(record, codec.encode(touch))

    async def retract(self, record: str, revision: int) -> None:
        from silenthit.blinding.retractions import retraction_proof
        from silenthit.blinding.sealing import Signer

        signer = Signer(SENDER.key_id, self.partner.agency)
        proof = retraction_proof(signer, record_id(record), revision)
        await self._take(record, None, revision, proof)

    async def _take(
        self, record: str, value: bytes | None, revision: int | None = None, proof: bytes = b""
    ) -> None:
        self.offset += 1
        key = record_id(record)
        headers = sender_headers(SENDER, key, value, revision)
        headers += (("proof", proof),) if proof else ()
        place = (TOUCHES.name, 0, self.offset, NOW_MS + self.offset)
        message = Message(*place, key, value, headers)
        self.log.held[0, self.offset] = message
        await self.exchange.worker.take_touches([message])

    def send(self, _topic: str, key: bytes, value: bytes | None) -> Future[Any]:
        """Stand where the partner's publisher stands."""
        self.waiting.append((key, value))
        future: Future[Any] = Future()
        future.set_result(None)
        return future

    def flush(self, _timeout: float = 0) -> None:
        """Everything was sent at once."""

    async def settle(self) -> int:
        """Send, look back, read and follow until nothing is left to do; return the rounds it took.

        As `alerts receive` does it: expired watches leave, policies follow what is due.
        """
        vault, rounds = self.partner.vault, 0
        while True:
            rounds += 1
            expire_watches(vault, self.now)
            places = {"partner": PARTNER, "epochs": (1,), "prf": self.partner.prf}
            following.follow_due(vault, **places, now=self.now)
            if unconfirmed(vault):
                deliver(vault, self, PARTNER)
            fresh, self.waiting = self.waiting, []
            topic = f"watches.{PARTNER}"
            messages = [self.exchange.raw(topic, key, value) for key, value in fresh]
            await self.look_back.over(await self.exchange.worker.take_watches(messages))
            self._receive()
            if not fresh and not following.due(vault):
                return rounds

    def _receive(self) -> None:
        written = self.exchange.written[self.read :]
        self.read = len(self.exchange.written)
        for each in written:
            if each.topic == ALERTS.of(PARTNER):
                message = Message(each.topic, 0, 0, NOW_MS, each.key, each.value)
                received = self.partner.receive_message(message)
                assert received is not None
                self.outcomes.append(received.outcome)
