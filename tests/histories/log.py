"""The services of a history, in memory and in lockstep: a log, a Redis that can lose its tail."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from burner_redis import BurnerRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from silenthit.bus.clients import Message
from silenthit.errors import RetryError
from stream_processors.outgoing import Outgoing
from stream_processors.pointer_rows import LEAST, READ

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Gate = Callable[[], Awaitable[None]]
Fails = Callable[[], bool]


@dataclass
class HandClock:
    """Broker time, moved by hand, in ms."""

    ms: int

    def now(self) -> datetime:
        return EPOCH + timedelta(milliseconds=self.ms)

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@dataclass
class MemoryLog:
    """Topics as Kafka keeps them, without compaction."""

    clock: HandClock
    partitions: dict[tuple[str, int], list[Message]] = field(default_factory=dict)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> Message:
        held = self.of(topic, partition)
        message = Message(topic, partition, len(held), self.clock.ms, key, value, headers)
        held.append(message)
        return message

    def of(self, topic: str, partition: int = 0) -> list[Message]:
        return self.partitions.setdefault((topic, partition), [])

    def all_of(self, topic: str) -> list[Message]:
        return [m for (name, _), held in self.partitions.items() if name == topic for m in held]


def never() -> bool:
    """Nothing fails."""
    return False


class GatedOutbound:
    """What one worker writes: it may be stopped, or the broker fail, between any two messages."""

    def __init__(self, log: MemoryLog, gate: Gate, fails: Fails = never) -> None:
        self._log, self._gate, self._fails = log, gate, fails

    async def send(self, messages: list[Outgoing]) -> None:
        for each in messages:
            await self._gate()
            if self._fails():
                raise RetryError("expected the broker, got nobody")
            self._log.append(each.topic, each.partition or 0, each.key, each.value)


WRITES = {"eval", "set", "delete"}
READS = {READ, LEAST}


class LossyRedis:
    """The server: whatever was written last may be gone, on all its nodes or on one.

    With `scripts_write` a script that reads counts as a write, too.
    """

    def __init__(self, nodes: int = 1, *, scripts_write: bool = False) -> None:
        self.server, self.nodes, self._scripts_write = BurnerRedis(), nodes, scripts_write
        self._journal: list[list[tuple[str, tuple[Any, ...], dict[str, Any]]]] = []

    def note(self, commands: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> None:
        written = [
            each
            for each in commands
            if each[0] in WRITES and (self._scripts_write or each[1][0] not in READS)
        ]
        if written:
            self._journal.append(written)

    async def lose(self, last: int, node: int | None) -> None:
        """Forget the last writes; with `node`, only those of that node of a cluster."""
        keep = max(0, len(self._journal) - last)
        kept = self._journal[:keep]
        if node is not None:
            rest = [
                [each for each in several if _slot(each) % self.nodes != node]
                for several in self._journal[keep:]
            ]
            kept += [several for several in rest if several]
        self.server, self._journal = BurnerRedis(), kept
        pipeline = self.server.pipeline()
        for several in kept:
            for name, args, more in several:
                getattr(pipeline, name)(*args, **more)
        await pipeline.execute()


def _slot(command: tuple[str, tuple[Any, ...], dict[str, Any]]) -> int:
    name, args, _ = command
    key = args[2] if name == "eval" else args[0]
    if b"{" in key:
        key = key[key.index(b"{") + 1 : key.index(b"}")]
    return zlib.crc32(key)


class GatedRedis:
    """One worker's client; it may break off before a command or after it."""

    def __init__(self, redis: LossyRedis, gate: Gate, fails: Fails = never) -> None:
        self._redis, self._gate, self._fails = redis, gate, fails

    def pipeline(self) -> GatedPipeline:
        return GatedPipeline(self._redis, self._gate, self._fails)

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **more: Any) -> Any:
            await self._gate()
            _perhaps_fail(self._fails)
            result = await getattr(self._redis.server, name)(*args, **more)
            self._redis.note([(name, args, more)])
            _perhaps_fail(self._fails)
            return result

        return call


class GatedPipeline:
    """Executed as a whole, as MULTI and EXEC do; of a cluster that fails, on some nodes."""

    def __init__(self, redis: LossyRedis, gate: Gate, fails: Fails = never) -> None:
        self._redis, self._gate, self._fails = redis, gate, fails
        self._commands: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def queue(*args: Any, **more: Any) -> None:
            self._commands.append((name, args, more))

        return queue

    async def execute(self) -> list[Any]:
        await self._gate()
        failed = self._fails()
        commands = self._reached() if failed else self._commands
        pipeline = self._redis.server.pipeline()
        for name, args, more in commands:
            getattr(pipeline, name)(*args, **more)
        results: list[Any] = await pipeline.execute()
        self._redis.note(commands)
        if failed:
            raise RedisConnectionError("gone")
        return results

    def _reached(self) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """Of a pipeline that fails, what was done: all of it, or of several nodes one's part."""
        return [each for each in self._commands if _slot(each) % self._redis.nodes == 0]


def _perhaps_fail(fails: Fails) -> None:
    if fails():
        raise RedisConnectionError("gone")
