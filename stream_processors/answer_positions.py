"""How far inquiries were answered: kept in Redis, so that a restart goes on where it was."""

from __future__ import annotations

import struct
from typing import Any

from silenthit.bus.clients import Message

Place = tuple[str, int]  # topic and partition
_OFFSET = struct.Struct("<Q")


class Positions:
    """Where to read on, though answers are finished in any order: the first that is not finished.

    What was answered but not written down is answered again, under the same inquiry id.
    """

    def __init__(self, redis: Any, bus: str) -> None:
        """`redis` has the commands of redis.asyncio.Redis; `bus` keeps two clusters apart."""
        self._redis, self._key = redis, f"answered:{bus}".encode()
        self._open: dict[Place, set[int]] = {}
        self._next: dict[Place, int] = {}

    async def load(self) -> dict[Place, int]:
        """Return where to read on."""
        found = await self._redis.hgetall(self._key)
        start = {}
        for field, value in found.items():
            topic, _, partition = field.decode().rpartition("/")
            start[topic, int(partition)] = int(_OFFSET.unpack(value)[0])
        return start

    def begun(self, message: Message) -> None:
        """Note a message that is being answered; messages of a partition come in order."""
        place = message.topic, message.partition
        self._open.setdefault(place, set()).add(message.offset)
        self._next[place] = max(self._next.get(place, 0), message.offset + 1)

    async def finished(self, message: Message) -> None:
        """Note that a message is answered, and write down where to read on."""
        place = message.topic, message.partition
        still = self._open[place]
        still.discard(message.offset)
        safe = min(still, default=self._next[place])
        field = f"{message.topic}/{message.partition}".encode()
        await self._redis.hset(self._key, field, _OFFSET.pack(safe))
