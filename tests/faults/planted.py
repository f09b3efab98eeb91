"""Bugs to plant into a matching worker, each with faults that it does not survive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.topics import SENT
from stream_processors.exchange import Exchange
from stream_processors.outgoing import KafkaOutbound, Outgoing
from tests.faults.schedule import REDIS, WORKERS, Fault, Schedule


def acknowledge_before_it_is_done() -> None:
    """Say that touches were matched as soon as they are there."""

    async def receive(self: Exchange, stream: Any) -> None:
        async for event in stream.noack().events():
            event.ack()
            await self._events.put(event)

    Exchange.receive = receive  # type: ignore[method-assign]


def do_not_write_sent() -> None:
    """Keep to oneself who was told."""
    original = KafkaOutbound.send

    async def silently(self: KafkaOutbound, messages: Sequence[Outgoing]) -> None:
        await original(self, [each for each in messages if each.topic != SENT.name])

    KafkaOutbound.send = silently  # type: ignore[method-assign]


# By name: what plants it, faults that it does not survive, and whether a later revision of what was
# lost would hide it.
PLANTED = {
    "acknowledge_before_it_is_done": (
        acknowledge_before_it_is_done,
        Schedule(
            1,
            (
                Fault(0.2, "pause", (REDIS,), 3.5, 0.0),  # what was read waits, acknowledged
                Fault(3.4, "kill", WORKERS, 1.0, 0.0),
            ),
        ),
        True,
    ),
    "do_not_write_sent": (
        do_not_write_sent,
        Schedule(2, (Fault(0.2, "kill", WORKERS, 0.3, 0.0),)),
        False,
    ),
}
