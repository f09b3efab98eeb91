"""The cut: for each touch partition, which watches have already looked back over it.

A watch meets the touches that a partition's owner handles after taking the watch in by live match,
and the earlier ones by look-back. The checkpoint says, for each partition, up to which offset of
each watch topic that look-back is done; whoever owns the partition next goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Positions = Mapping[str, int]  # watch topic → next offset to take in


class Checkpoints:
    """Positions a touch partition, kept in Redis beside the pointers they vouch for."""

    def __init__(self, redis: Any) -> None:
        """`redis` is the client of the pointer index."""
        self._redis = redis

    async def load(self, partition: int) -> dict[str, int]:
        """Return the positions of a partition; empty when it never had any."""
        value = await self._redis.get(b"checkpoint:%d" % partition)
        return {topic: int(offset) for topic, offset in json.loads(value or "{}").items()}

    async def save(self, partition: int, positions: Positions) -> None:
        """Record that look-back over a partition is done up to these positions."""
        await self._redis.set(b"checkpoint:%d" % partition, json.dumps(dict(positions)).encode())


def lagging(checkpoints: Mapping[int, Positions], topic: str, offset: int) -> frozenset[int]:
    """Return the partitions over which the watch at this offset has not looked back yet."""
    return frozenset(
        partition for partition, done in checkpoints.items() if offset >= done.get(topic, 0)
    )


def advanced(checkpoint: Positions, places: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the checkpoint moved past the given watch topics and offsets."""
    moved = dict(checkpoint)
    for topic, offset in places:
        moved[topic] = max(moved.get(topic, 0), offset + 1)
    return moved


def behind_all(checkpoints: Iterable[Positions]) -> dict[str, int]:
    """Return the lowest position of each watch topic; a topic that one lacks is left out."""
    several = list(checkpoints)
    shared = set.intersection(*(set(each) for each in several)) if several else set()
    return {topic: min(each[topic] for each in several) for topic in shared}
