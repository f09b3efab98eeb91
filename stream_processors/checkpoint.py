"""The cut: for each touch partition, which watches have already looked back over it.

A watch meets the touches that a partition's owner handles after taking the watch in by live match,
and the earlier ones by look-back. The checkpoint says, for each partition, up to which offset of
each watch topic that look-back is done; whoever owns the partition next goes on from there, or from
what its own index has read if that is less: touches that it handles don't meet the others.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

from silenthit.clock import Clock, SystemClock
from silenthit.errors import RetryError, SettingsError

Log = tuple[str, int]  # a watch topic and its partition
Positions = Mapping[Log, int]  # next offset to take in
Owns = Callable[[], Awaitable[bool]]  # asks the consumer group

_CLUSTERS = b"clusters"
# A claim is higher than every one before it, those that a Redis without its tail forgot included.
_CLAIM = """
local known = redis.call('HGET', KEYS[1], 'claim') or '0'
if known ~= ARGV[1] then return '' end
local claim = math.max(tonumber(known) + 1, tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], 'claim', string.format('%.0f', claim))
return string.format('%.0f', claim)
"""
# Who lost the partition meanwhile does not know what its new owner has taken in.
_SAVE = """
if tonumber(redis.call('HGET', KEYS[1], 'claim') or '0') > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'claim', ARGV[1])
redis.call('HSET', KEYS[1], 'positions', ARGV[2])
return 1
"""


class NotOwnedError(RetryError):
    """The group gave the partitions to another: the next assignment will be told."""


class Checkpoints:
    """Positions a touch partition, kept in Redis beside the pointers they vouch for."""

    def __init__(self, redis: Any, clock: Clock | None = None) -> None:
        """`redis` is the client of the pointer index."""
        self._redis, self._clock = redis, clock or SystemClock()
        self._claims: dict[int, int] = {}

    async def bind(self, clusters: Mapping[str, str]) -> None:
        """Tie what lies in Redis to Kafka clusters and a number of partitions: offsets are theirs.

        Raises SettingsError when it was written beside others.
        """
        known = json.loads(await self._redis.get(_CLUSTERS) or "null")
        if known not in (None, dict(clusters)):
            raise SettingsError(
                "expected a Redis that belongs to this Kafka cluster and its number of partitions, "
                "got one that was filled from another; name the right one in `redis`, or stop all "
                "workers and run `silenthit exchange rebuild-pointers`"
            )
        if known is None:
            await self._redis.set(_CLUSTERS, json.dumps(dict(clusters)).encode())

    async def claim(self, partitions: Collection[int], owns: Owns) -> dict[int, dict[Log, int]]:
        """Take over touch partitions; return their positions, empty where there never were any.

        From now on nobody who claimed them before saves any. `owns` is asked after looking who
        claimed last: who has lost them by now, unnoticed, does not claim after their new owner.
        Raises NotOwnedError.
        """
        while True:
            known = await self._claimed(partitions)
            if not await owns():
                raise NotOwnedError("expected to own the partitions, got them given to another")
            now = str(int(self._clock.now().timestamp() * 1000))
            pipeline = self._redis.pipeline()
            for partition in partitions:
                pipeline.eval(_CLAIM, 1, _key(partition), known[partition], now)
            claims: list[bytes] = await pipeline.execute()
            if all(claims):
                break
        self._claims = dict(zip(partitions, map(int, claims), strict=True))
        return {each: await self.load(each) for each in partitions}

    async def _claimed(self, partitions: Collection[int]) -> dict[int, bytes]:
        pipeline = self._redis.pipeline()
        for partition in partitions:
            pipeline.hget(_key(partition), b"claim")
        claims: list[bytes | None] = await pipeline.execute()
        return {each: claim or b"0" for each, claim in zip(partitions, claims, strict=True)}

    async def stand(self, positions: Mapping[int, Positions]) -> bool:
        """Whether these, and that they are claimed by whom saves them here, still stand there."""
        pipeline = self._redis.pipeline()
        for partition in positions:
            pipeline.hgetall(_key(partition))
        there: list[dict[bytes, bytes]] = await pipeline.execute()
        return all(
            found.get(b"claim") == b"%d" % self._claims.get(partition, 0)
            and _read(found.get(b"positions")) == done
            for (partition, done), found in zip(positions.items(), there, strict=True)
        )

    def claims(self, partitions: Collection[int]) -> dict[int, int]:
        """Return the numbers by which these partitions were claimed; a later claim is higher."""
        return {each: self._claims[each] for each in partitions}

    async def load(self, partition: int) -> dict[Log, int]:
        """Return the positions of a touch partition."""
        return _read(await self._redis.hget(_key(partition), b"positions"))

    async def save(self, moved: Mapping[int, Mapping[Log, int]]) -> dict[int, dict[Log, int]]:
        """Record that look-back over claimed partitions is done up to these positions.

        Return those recorded: none of a partition that another has claimed since.
        """
        if not moved:
            return {}
        pipeline = self._redis.pipeline()
        for partition, positions in moved.items():
            value = json.dumps([(*log, offset) for log, offset in positions.items()]).encode()
            pipeline.eval(_SAVE, 1, _key(partition), str(self._claims[partition]), value)
        recorded = zip(moved.items(), await pipeline.execute(), strict=True)
        return {partition: dict(positions) for (partition, positions), done in recorded if done}


def _read(value: bytes | None) -> dict[Log, int]:
    return {(topic, number): offset for topic, number, offset in json.loads(value or "[]")}


def _key(partition: int) -> bytes:
    return b"checkpoint:%d" % partition


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


def within(checkpoint: Positions, read: Positions) -> dict[Log, int]:
    """Return the checkpoint, nowhere past what an index has read."""
    return {log: min(offset, read.get(log, 0)) for log, offset in checkpoint.items()}


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
