"""Matching workers of a history: the real code, driven a step at a time, killed anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random

from schemas.topics import SENT, TOUCHES, WATCHES
from silenthit.bus.clients import Message
from stream_processors.checkpoint import Checkpoints, Positions
from stream_processors.look_back import LookBack
from stream_processors.match_worker import MatchWorker
from stream_processors.partitions import Partitions
from stream_processors.pointers import Pointers
from stream_processors.sent import SentLog
from stream_processors.steady import persist, take_steadily
from stream_processors.watch_index import WatchIndex
from tests.exchange_room import EPOCHS, HARBOR, WATCH_KEYS
from tests.histories.log import GatedOutbound, GatedRedis, HandClock, LossyRedis, MemoryLog

PARTNERS = ("fbi", "hsi")


@dataclass
class Group:
    """The consumer group as the broker sees it: who owns what, and what is committed."""

    partitions: int
    generation: int = 0
    owners: dict[int, str] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)


class Worker:
    """One process. It has one task at a time, which stands still between any two effects.

    Of effects that it awaits together, any may come first.
    """

    def __init__(
        self,
        name: str,
        log: MemoryLog,
        redis: LossyRedis,
        group: Group,
        clock: HandClock,
        *,
        seed: str,
    ) -> None:
        self.name, self._log, self._group, self._random = name, log, group, Random(seed)
        client = GatedRedis(redis, self._gate)
        self.worker = MatchWorker(
            name=name,
            index=WatchIndex(young_limit=64),
            sent=SentLog(),
            pointers=Pointers(client, clock, scattered=redis.nodes > 1),
            outbound=GatedOutbound(log, self._gate),
            keys={HARBOR.key_id: HARBOR},
            epochs=EPOCHS,
            watch_keys=WATCH_KEYS,
        )
        look_back = LookBack(self.worker, Checkpoints(client, clock), self)
        self.partitions = Partitions(self.worker, look_back, self)
        self.assigned: dict[int, int] = {}  # next offset to read of each partition it believes in
        self.acknowledged: dict[int, int] = {}
        self.generation = -1
        self.owning = False
        self.to_look_after = True  # as a second passes
        self.applied: dict[tuple[str, int], int] = {}
        self._sent_read: dict[int, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._stands: list[asyncio.Future[None]] = []
        self._at_start = {each: len(log.of(WATCHES.of(each))) for each in PARTNERS}

    async def _gate(self) -> None:
        stands = asyncio.get_running_loop().create_future()
        self._stands.append(stands)
        await stands

    @property
    def busy(self) -> bool:
        return self._task is not None

    async def step(self) -> None:
        """Let the task that is under way go on to its next effect."""
        if self._stands:
            self._stands.pop(self._random.randrange(len(self._stands))).set_result(None)
            await asyncio.sleep(0)
        while not self._stands and self._task is not None:
            if self._task.done():
                task, self._task = self._task, None
                task.result()
                return
            await asyncio.sleep(0)

    async def finish(self) -> None:
        while self.busy:
            await self.step()

    async def kill(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            self._stands.clear()

    def begin(self, work: Coroutine[None, None, None]) -> None:
        assert not self.busy
        self._task = asyncio.ensure_future(work)

    def loaded(self) -> bool:
        """Whether the index holds every watch that was there at the start."""
        return all(
            self.applied.get((WATCHES.of(partner), 0), 0) >= end
            for partner, end in self._at_start.items()
        )

    def behind_on_watches(self) -> bool:
        return any(
            len(self._log.of(WATCHES.of(partner))) > self.applied.get((WATCHES.of(partner), 0), 0)
            for partner in PARTNERS
        )

    def behind_on_touches(self) -> list[int]:
        return [
            partition
            for partition, at in self.assigned.items()
            if len(self._log.of(TOUCHES.name, partition)) > at
        ]

    def assign(self, partitions: Sequence[int], generation: int) -> None:
        self.generation, self.owning = generation, False
        committed = self._group.committed
        self.assigned = {each: committed.get(each, 0) for each in partitions}
        self.acknowledged = {}

    def commit(self) -> None:
        """What the broker takes only from the generation that it knows."""
        if self.generation == self._group.generation:
            for partition, offset in self.acknowledged.items():
                known = self._group.committed.get(partition, 0)
                self._group.committed[partition] = max(known, offset)

    def begin_take_over(self) -> None:
        self.begin(self._take_over(self.generation))

    async def _take_over(self, generation: int) -> None:
        async def work() -> None:
            if generation == self.generation:
                await self.partitions.take_over(dict(self.assigned))

        await persist(work, "take over")
        if generation == self.generation:
            self.owning = True

    def begin_touches(self, partitions: Sequence[int], most: int) -> None:
        messages = [
            message
            for partition in partitions
            for message in self._log.of(TOUCHES.name, partition)[self.assigned[partition] :][:most]
        ]
        for message in messages:
            self.assigned[message.partition] = message.offset + 1
        self.begin(self._take_touches(messages, self.generation))

    async def _take_touches(self, messages: Sequence[Message], generation: int) -> None:
        await take_steadily(messages, self.partitions.take_touches, self.worker.set_aside)
        if generation == self.generation:
            for message in messages:
                self.acknowledged[message.partition] = message.offset + 1

    def begin_watches(self, most: int) -> None:
        messages: list[Message] = []
        for partner in PARTNERS:
            place = WATCHES.of(partner), 0
            start = self.applied.get(place, 0)
            messages += self._log.of(*place)[start : start + most]
        self.begin(self._take_watches(messages))

    async def _take_watches(self, messages: Sequence[Message]) -> None:
        async def take(some: Sequence[Message]) -> None:
            await self.partitions.take_watches(some, owning=self.owning)

        await take_steadily(messages, take, self.worker.set_aside)
        for message in messages:
            self.applied[message.topic, message.partition] = message.offset + 1

    def begin_look_after(self) -> None:
        async def work() -> None:
            if self.owning:
                await self.partitions.look_after()
                self.to_look_after = False

        self.begin(persist(work, "look after"))

    # The logs that it reads by assignment, and the old touches.

    async def sent(self) -> list[Message]:
        await self._gate()
        found = []
        for partition in range(self._group.partitions):
            held = self._log.of(SENT.name, partition)
            found += held[self._sent_read.get(partition, 0) :]
            self._sent_read[partition] = len(held)
        return found

    async def sent_news(self) -> list[Message]:
        return await self.sent()

    def read(self) -> Positions:
        return dict(self.applied)

    async def watches(self, start: Positions) -> AsyncIterator[list[Message]]:
        held = [
            message
            for place, end in self.applied.items()
            for message in self._log.of(*place)[start.get(place, 0) : end]
        ]
        for at in range(0, max(1, len(held)), 3):
            await self._gate()
            yield held[at : at + 3]

    async def touches(self, partition: int, start: int, end: int) -> AsyncIterator[list[Message]]:
        held = self._log.of(TOUCHES.name, partition)[start:end]
        for at in range(0, len(held), 3):
            await self._gate()
            yield held[at : at + 3]

    async def fetch(self, places: Sequence[tuple[int, int]]) -> list[Message]:
        await self._gate()
        return [self._log.of(TOUCHES.name, partition)[offset] for partition, offset in places]
