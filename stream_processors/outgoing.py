"""What a worker writes, and the one way it leaves: every message confirmed before going on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from silenthit.bus.clients import Publisher
from silenthit.errors import RetryError


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A message for the partner bus."""

    topic: str
    key: bytes = field(repr=False)
    value: bytes | None = field(repr=False)
    partition: int | None = None


class Outbound(Protocol):
    """Where a worker's messages go."""

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Return once every message is confirmed. Raises RetryError when one can't be."""
        ...


class KafkaOutbound:
    """Messages to Apache Kafka by the idempotent producer."""

    def __init__(self, publisher: Publisher) -> None:
        """`publisher` is open on the partner bus."""
        self._publisher = publisher

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Produce all, then wait for all."""
        futures = [
            asyncio.wrap_future(
                self._publisher.send(m.topic, m.key, m.value, partition=m.partition)
            )
            for m in messages
        ]
        results = await asyncio.gather(*futures, return_exceptions=True)
        failed = [type(each).__name__ for each in results if isinstance(each, BaseException)]
        if failed:
            # Whatever the broker refuses, the touch must wait for: it can't be the touch's fault.
            raise RetryError(f"expected {len(results)} confirmed messages, got {failed[0]}")
