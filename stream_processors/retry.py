"""Take quarantined touches again, once the cause is gone: asked for by command, done by workers.

The message is read again where it lies and goes the way of every touch, so that one which was taken
already, or which a later revision overtook, changes nothing. What is refused again lies in
quarantine again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from schemas import codec
from schemas.messages import Quarantined
from schemas.topics import QUARANTINE, TOUCHES
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from stream_processors.look_back import TouchStore
from stream_processors.outgoing import Outbound, Outgoing

_KEY = b"retry"


def listed(bus: KafkaSettings) -> list[Quarantined]:
    """Return what is in quarantine. Raises RetryError when no broker answers."""
    found: dict[bytes | None, Quarantined] = {}
    with TopicReader(bus, [QUARANTINE.name], client_id="silenthit-quarantine") as reader:
        for messages in reader.read_to_end():
            for message in messages:
                if message.value is None:
                    found.pop(message.key, None)
                else:
                    found[message.key] = codec.decode(message.value, Quarantined)
    return list(found.values())


async def ask(redis: Any, places: Sequence[tuple[int, int]]) -> None:
    """Ask the workers to take the touches at these (partition, offset) again."""
    for partition, offset in places:
        await redis.hset(_KEY, b"%d/%d" % (partition, offset), b"")


class Retries:
    """One worker's part in it."""

    def __init__(self, redis: Any, store: TouchStore, outbound: Outbound) -> None:
        """`outbound` leads to the quarantine."""
        self._redis, self._store, self._outbound = redis, store, outbound

    async def asked(self) -> bool:
        """Whether somebody asks for something."""
        return bool(await self._redis.hgetall(_KEY))

    async def take(
        self, owned: Collection[int], take: Callable[[Sequence[Message]], Awaitable[None]]
    ) -> None:
        """Take what was asked for in partitions that are owned; the request goes last."""
        for request in sorted(await self._redis.hgetall(_KEY)):
            partition, offset = map(int, request.split(b"/"))
            if partition not in owned:
                continue
            messages = await self._store.fetch([(partition, offset)])
            key = f"{TOUCHES.name}/{partition}/{offset}".encode()
            await self._outbound.send([Outgoing(topic=QUARANTINE.name, key=key, value=None)])
            await take(messages)
            await self._redis.hdel(_KEY, request)
