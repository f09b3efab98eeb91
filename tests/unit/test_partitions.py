"""Whatever Redis lost is replayed, even if the replay itself fails halfway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from silenthit.bus.clients import Message
from stream_processors.checkpoint import Checkpoints
from stream_processors.look_back import LookBack
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
