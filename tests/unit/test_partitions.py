"""Whatever Redis lost is replayed, even if the replay itself fails halfway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from schemas.messages import AlertStatus, Sent, SentEntry
from schemas.topics import SENT
from silenthit.bus.clients import Message
from stream_processors.checkpoint import Checkpoints
from stream_processors.look_back import LookBack
from stream_processors.outgoing import Outgoing
from stream_processors.partitions import Partitions
from stream_processors.pointers import Pointers, open_redis
from stream_processors.settings import EMBEDDED_REDIS
from tests.exchange_room import Room, identified, owned, ssn, touch_of


@dataclass
class Lying:
    """The logs of two partitions; `failures` are replays that Redis breaks off."""

    messages: list[Message]
    failures: int = 0
    replayed: list[int] = field(default_factory=list)

    async def sent(self) -> list[Message]:
        return []

    async def sent_news(self) -> list[Message]:
        return []

    def read(self) -> Mapping[Any, int]:
        return {}

    async def watches(self, start: Any) -> AsyncIterator[list[Message]]:
        del start
        for nothing in ():
            yield nothing

    async def touches(self, partition: int, start: int, end: int) -> AsyncIterator[list[Message]]:
        if partition and self.failures:
            self.failures -= 1
            raise RedisConnectionError("gone again")
        self.replayed.append(partition)
        yield [m for m in self.messages if m.partition == partition and start <= m.offset < end]

    async def fetch(self, places: Any) -> list[Message]:
        del places
        return []


@pytest.mark.parametrize("failures", [0, 1, 3])
async def test_a_replay_that_breaks_off_is_begun_again_until_all_is_there(failures: int) -> None:
    room, redis = Room(), open_redis(EMBEDDED_REDIS)
    pointers = room.worker.pointers = Pointers(redis)
    records = [identified(record) for record in ("a", "b")]
    messages = [
        room.message(touch_of(record, [ssn(record)]), record)._replace(
            partition=number, timestamp_ms=1_900_000_000_000
        )
        for number, record in enumerate(("a", "b"))
    ]
    logs = Lying(messages, failures)
    partitions = Partitions(room.worker, LookBack(room.worker, Checkpoints(redis), logs), logs)
    await partitions.take_over({0: 0, 1: 0}, owned)
    await partitions.take_again(messages)
    assert (await pointers.latest(records)).keys() == set(records)

    pointers._redis = open_redis(EMBEDDED_REDIS)  # one that holds nothing
    for _ in range(failures):
        with pytest.raises(RedisConnectionError):
            await partitions.look_after()
    await partitions.look_after()
    assert (await pointers.latest(records)).keys() == set(records)
    assert logs.replayed.count(1) == 1


@dataclass
class Town:
    """Two partitions of one worker, taken over, each with a touch."""

    room: Room = field(default_factory=Room)
    redis: Any = field(default_factory=lambda: open_redis(EMBEDDED_REDIS))

    def __post_init__(self) -> None:
        self.worker = self.room.worker
        self.worker.pointers = Pointers(self.redis)
        self.messages = [
            self.room.message(touch_of(record, [ssn(record)], revision=2), record)._replace(
                partition=number, timestamp_ms=1_900_000_000_000
            )
            for number, record in enumerate(("a", "b"))
        ]
        logs = Lying(self.messages)
        back = LookBack(self.worker, Checkpoints(self.redis), logs)
        self.partitions = Partitions(self.worker, back, logs)

    async def begin(self) -> None:
        await self.partitions.take_over({0: 0, 1: 0}, owned)
        await self.partitions.take_again(self.messages)


async def test_where_all_is_in_order_nobody_has_to_be_alone() -> None:
    town = Town()
    await town.begin()
    assert await town.partitions.is_in_order()


async def test_that_redis_lost_something_is_seen_beside_batches() -> None:
    town = Town()
    await town.begin()
    town.worker.pointers._redis = open_redis(EMBEDDED_REDIS)
    assert not await town.partitions.is_in_order()
    await town.partitions.look_after()
    assert await town.partitions.is_in_order()


async def test_that_another_claimed_a_partition_is_seen_beside_batches() -> None:
    town = Town()
    await town.begin()
    await Checkpoints(town.redis).claim([1], owned)
    assert not await town.partitions.is_in_order()


async def test_whom_another_told_too_late_while_a_revision_was_told_is_told_how_it_stands() -> None:
    town = Town()
    room, worker = town.room, town.worker
    entry = SentEntry(partner="hsi", registration_id=identified("w2"))
    late = Sent(record_id=identified("a"), revision=1, sender="MASF00100", alerted=(entry,))
    send = room.send

    async def sending(messages: Sequence[Outgoing]) -> None:
        await send(messages)
        if any(each.topic == SENT.name and each.key == identified("a") for each in messages):
            worker.sent.put(late)  # heard at the worst moment

    other = room.registration("w2", [ssn("what revision 1 said")], partner="hsi")
    await worker.take_watches([room.registration("w1", [ssn("a")]), other])
    room.send = sending  # type: ignore[method-assign]
    await town.begin()
    room.send = send  # type: ignore[method-assign]
    assert room.alerts("hsi") == []

    assert not await town.partitions.is_in_order()
    await town.partitions.look_after()
    [told] = room.alerts("hsi")
    assert (told.revision, told.status) == (2, AlertStatus.WITHDRAWN)
    assert await town.partitions.is_in_order()
