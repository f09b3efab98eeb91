"""The cut: for each touch partition, which watches have already looked back over it.

A watch meets the touches that a partition's owner handles after taking the watch in by live match,
and the earlier ones by look-back. The checkpoint says, for each partition, up to which offset of
each watch topic that look-back is done; whoever owns the partition next goes on from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Log = tuple[str, int]  # a watch topic and its partition
Positions = Mapping[Log, int]  # next offset to take in


class Checkpoints:
    """Positions a touch partition, kept in Redis beside the pointers they vouch for."""

    def __init__(self, redis: Any) -> None:
        """`redis` is the client of the pointer index."""
        self._redis = redis

    async def load(self, partition: int) -> dict[Log, int]:
        """Return the positions of a touch partition; empty when it never had any."""
        value = await self._redis.get(b"checkpoint:%d" % partition)
        return {(topic, number): offset for topic, number, offset in json.loads(value or "[]")}

    async def save(self, partition: int, positions: Positions) -> None:
        """Record that look-back over a touch partition is done up to these positions."""
        rows = [(*log, offset) for log, offset in positions.items()]
        await self._redis.set(b"checkpoint:%d" % partition, json.dumps(rows).encode())


def lagging(checkpoints: Mapping[int, Positions], log: Log, offset: int) -> frozenset[int]:
    """Return the touch partitions over which the watch at this place has not looked back yet."""
    return frozenset(
        partition for partition, done in checkpoints.items() if offset >= done.get(log, 0)
    )


def advanced(checkpoint: Positions, places: Iterable[tuple[Log, int]]) -> dict[Log, int]:
    """Return the checkpoint moved past the given places of watches."""
    moved = dict(checkpoint)
    for log, offset in places:
        moved[log] = max(moved.get(log, 0), offset + 1)
    return moved


def held_back(checkpoint: Positions, waiting: Iterable[tuple[str, int, int]]) -> dict[Log, int]:
    """Return the checkpoint, nowhere past a watch (topic, partition, offset) that waits.

    Such a watch has yet to look back; those after it may do so once more, which changes nothing.
    """
    held = dict(checkpoint)
    for topic, number, offset in waiting:
        if (topic, number) in held:
            held[topic, number] = min(held[topic, number], offset)
    return held


def behind_all(checkpoints: Iterable[Positions]) -> dict[Log, int]:
    """Return each watch log's lowest position, leaving out one that a checkpoint lacks."""
    several = list(checkpoints)
    shared = set.intersection(*(set(each) for each in several)) if several else set()
    return {log: min(each[log] for each in several) for log in shared}
