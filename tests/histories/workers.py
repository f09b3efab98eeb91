"""Matching workers of a history: the real code, driven a step at a time, killed anywhere."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import cast

from schemas.topics import SENT, TOUCHES, WATCHES
from silenthit.bus.clients import Message
from silenthit.errors import RetryError
from stream_processors.checkpoint import Checkpoints, NotOwnedError, Positions
from stream_processors.look_back import LookBack
from stream_processors.match_worker import MatchWorker
from stream_processors.partitions import Partitions
from stream_processors.pointers import Pointers
from stream_processors.sent import SentLog
from stream_processors.shares import Headed, Shares
from stream_processors.steady import persist, take_steadily
from stream_processors.touch_flow import TouchFlow
from stream_processors.turn import Turn
from stream_processors.watch_index import WatchIndex
from tests.exchange_room import EPOCHS, HARBOR, WATCH_KEYS
from tests.histories.log import GatedOutbound, GatedRedis, HandClock, LossyRedis, MemoryLog

PARTNERS = ("fbi", "hsi")
MOST_BATCHES = 3


@dataclass
class Group:
    """The consumer group as the broker sees it: who owns what, and what is committed."""

    partitions: int
    generation: int = 0
    owners: dict[int, str] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)


class SomeWait(Shares):
    """Some touches can wait, and it depends on nothing that one could rely on."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self._seed = seed.encode()

    def can_wait(self, message: Headed) -> bool:
        place = cast("Message", message)
        return zlib.crc32(b"%b%d%d" % (self._seed, place.partition, place.offset)) % 3 == 0


class Worker:
    """One process. Its tasks stand still between any two effects, and any may go on first.

    It has several batches of touches under way, and one other task at a time.
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
        failing: float = 0.0,
    ) -> None:
        """`failing` is the share of effects that Kafka or Redis refuse, or do not answer."""
        self.name, self._log, self._group, self._random = name, log, group, Random(seed)
        self._failing = failing
        client = GatedRedis(redis, self._gate, self._fails)
        self.worker = MatchWorker(
            name=name,
            index=WatchIndex(young_limit=64),
            sent=SentLog(),
            pointers=Pointers(client, clock, scattered=redis.nodes > 1),
            outbound=GatedOutbound(log, self._gate, self._fails),
            keys={HARBOR.key_id: HARBOR},
            epochs=EPOCHS,
            watch_keys=WATCH_KEYS,
            shares=SomeWait(seed),
        )
        look_back = LookBack(self.worker, Checkpoints(client, clock), self)
        self.partitions = Partitions(self.worker, look_back, self)
        self.assigned: dict[int, int] = {}  # next offset to read of each partition it believes in
        self.acknowledged: dict[int, int] = {}
        self.generation = -1
        self._owning = asyncio.Event()
        self._turn = Turn(batches=MOST_BATCHES, touches=1_000)
        self._flow = TouchFlow(
            self._turn, self._owning, self.partitions, self.worker.set_aside, patience_s=0
        )
        self.to_look_after = True  # as a second passes
        self.applied: dict[tuple[str, int], int] = {}
        self._sent_read: dict[int, int] = {}
        self._other: asyncio.Task[None] | None = None
        self._batches: list[asyncio.Task[None]] = []
        self._asking = False  # a batch waits for its turn
        self._stands: list[asyncio.Future[None]] = []
        self._at_start = {each: len(log.of(WATCHES.of(each))) for each in PARTNERS}

    async def _gate(self) -> None:
        stands = asyncio.get_running_loop().create_future()
        self._stands.append(stands)
        await stands

    def _fails(self) -> bool:
        return bool(self._failing) and self._random.random() < self._failing

    @property
    def owning(self) -> bool:
        return self._owning.is_set()

    @property
    def busy(self) -> bool:
        return bool(self._going())

    def _going(self) -> list[asyncio.Task[None]]:
        """Return the tasks that can go on: touches read before a move wait to be owned again."""
        waits = self._asking and not self.owning
        batches = self._batches[:-1] if waits else self._batches
        return [*batches, *([self._other] if self._other else [])]

    @property
    def has_other_task(self) -> bool:
        return self._other is not None

    @property
    def takes_more_touches(self) -> bool:
        return self.owning and not self._asking and len(self._batches) < MOST_BATCHES

    async def step(self) -> None:
        """Let one of the tasks under way, of which there is one, go on to its next effect."""
        if self._stands:
            self._stands.pop(self._random.randrange(len(self._stands))).set_result(None)
        await asyncio.sleep(0)
        while not self._stands and not any(task.done() for task in self._going()):  # noqa: ASYNC110 nothing else moves the tasks on
            await asyncio.sleep(0)
        for task in [each for each in self._going() if each.done()]:
            task.result()
        self._batches = [task for task in self._batches if not task.done()]
        if self._other is not None and self._other.done():
            self._other = None

    async def finish(self) -> None:
        while self.busy:
            await self.step()

    async def kill(self) -> None:
        tasks = [*self._batches, *([self._other] if self._other else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._other, self._batches = None, []
        self._stands.clear()

    def begin(self, work: Coroutine[None, None, None]) -> None:
        assert self._other is None
        self._other = asyncio.ensure_future(work)

    def _alone(self, take: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def taking() -> None:
            async with self._turn.alone():
                await take()

        return taking

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
        self.generation = generation
        self._owning.clear()
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
        async def owns() -> bool:
            if generation != self.generation:
                return False
            await self._gate()
            if self._fails():
                raise RetryError("expected the group's answer, got none")
            return generation == self.generation == self._group.generation

        async def work() -> None:
            nonlocal taken
            if generation == self.generation:
                with suppress(NotOwnedError):  # who has lost them waits for what it is told next
                    await self.partitions.take_over(dict(self.assigned), owns)
                    taken = True

        taken = False
        await persist(self._alone(work), "take over")
        if taken and generation == self.generation:
            self._owning.set()

    def begin_touches(self, partitions: Sequence[int], most: int) -> None:
        messages = [
            message
            for partition in partitions
            for message in self._log.of(TOUCHES.name, partition)[self.assigned[partition] :][:most]
        ]
        for message in messages:
            self.assigned[message.partition] = message.offset + 1
        self._asking = True
        self._batches.append(asyncio.ensure_future(self._take_touches(messages, self.generation)))

    async def _take_touches(self, messages: Sequence[Message], generation: int) -> None:
        try:
            batch = await self._flow.next(len(messages))
        finally:
            self._asking = False
        with batch:
            await self._flow.take(messages, batch)
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
            async with self._turn.alone():
                await self.partitions.take_watches(some, owning=self.owning)

        await take_steadily(messages, take, self.worker.set_aside)
        for message in messages:
            self.applied[message.topic, message.partition] = message.offset + 1

    def begin_look_after(self) -> None:
        async def alone() -> None:
            if self.owning:
                with suppress(NotOwnedError):
                    await self.partitions.look_after()

        async def work() -> None:
            if not await self.partitions.is_in_order():
                await self._alone(alone)()
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
