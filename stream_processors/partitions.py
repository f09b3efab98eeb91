"""The partitions a worker owns: in which order it takes them over, and what waits for what.

First `sent` is read to its end, so that corrections reach whom another worker alerted. Then the
checkpoints are claimed, so that nobody else moves them, and set back to what this worker's index
has read; and the pointers are made whole, if Redis lost any. Only then do the watches look back
that the partitions have not met, and only after that are touches matched. Whoever has read pointers
checks that Redis had them all before it tells anybody what it found.

A worker may not have noticed yet that it lost a partition, and alert somebody of a revision that
the new owner knows to be overtaken. It says so in `sent` first, and the new owner, who hears that
within seconds, takes the latest revision again: whom the late alert reached is told how it stands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import structlog

from silenthit.bus.clients import Message
from stream_processors.checkpoint import Owns, Positions
from stream_processors.look_back import LookBack
from stream_processors.match_worker import MatchWorker
from stream_processors.pointers import Pointer, TailLostError
from stream_processors.under_way import Batch

# Long after a worker that the group has given up was noticed by itself, too.
SETTLED_MS = 15 * 60_000

log = structlog.get_logger(__name__)


class Logs(Protocol):
    """What a worker reads by assignment, beside the touches that are brought to it."""

    async def sent(self) -> list[Message]:
        """Return what `sent` holds since the last call."""
        ...

    async def sent_news(self) -> list[Message]:
        """Return what more of `sent` is there already; it may not be all."""
        ...

    def read(self) -> Positions:
        """Return up to where the worker's index has taken in the watch topics."""
        ...

    def watches(self, start: Positions) -> AsyncIterator[list[Message]]:
        """Yield what the watch topics hold from there to what the index has taken in, in order."""
        ...

    def touches(self, partition: int, start: int, end: int) -> AsyncIterator[list[Message]]:
        """Yield the touches of a partition from one offset up to another, in order."""
        ...


class Partitions:
    """What a worker owns. One call at a time, but for `take_touches`: its owner sees to it."""

    def __init__(self, worker: MatchWorker, look_back: LookBack, logs: Logs) -> None:
        """All three are the worker's own."""
        self._worker, self._look_back, self._logs = worker, look_back, logs
        self._ends: dict[int, int] = {}
        self._heard: dict[bytes, bool] = {}  # records in `sent` lately, and whether one told late
        self._heard_at = 0  # ms

    async def take_over(self, partitions: Mapping[int, int], owns: Owns) -> None:
        """Take over partitions, each from the offset of the next touch that nobody acknowledged.

        `owns` asks the group whether they are still this worker's. Raises NotOwnedError.
        """
        self._hear(await self._logs.sent())
        self._worker.pointers.vouch(partitions)
        self._ends = dict(partitions)
        read = self._logs.read()
        await self._look_back.own(partitions, read, owns)
        untouched = [partition for partition, at in partitions.items() if at == 0]
        await self._look_back.begin(untouched, read)
        await self._make_whole()
        await self._catch_up()

    async def _catch_up(self) -> None:
        """Let the watches look back over what was taken over, some thousands at a time."""
        async for messages in self._logs.watches(self._look_back.behind()):
            watches = self._worker.live_watches(messages)
            await self._whole(partial(self._look_back.over, watches))

    async def take_touches(self, messages: Sequence[Message], batch: Batch) -> None:
        """Match touches of partitions that are owned, of which other batches are under way.

        Raises TailLostError when pointers are missing: then it has to be taken again, alone.
        """
        await self._worker.take_touches(messages, batch)
        self._note_progress()

    async def take_again(self, messages: Sequence[Message]) -> None:
        """Match touches of partitions that are owned, over pointers of which none is missing."""
        await self._whole(lambda: self._worker.take_touches(messages))

    async def take_watches(self, messages: Sequence[Message], *, owning: bool) -> None:
        """Take watches in; those that are new look back, if the partitions were taken over.

        Otherwise the take-over that comes does it.
        """
        added = await self._worker.take_watches(messages)
        if owning and added:
            await self._whole(lambda: self._look_back.over(added))

    async def is_in_order(self) -> bool:
        """Hear what others told, and look whether `look_after` has anything to do.

        To be called every second or so, and beside batches: to be alone delays touches.
        """
        self._hear(await self._logs.sent_news())
        if not await self._look_back.stands():
            return False
        try:
            await self._worker.pointers.check()
            return not await self._told_late()
        except TailLostError:
            return False

    async def look_after(self) -> None:
        """Make whole what Redis lost, and set right what others told too late.

        Raises NotOwnedError when another has the partitions.
        """
        await self._look_back.insist()
        await self._whole(self._set_right)

    def _hear(self, messages: Sequence[Message]) -> None:
        self._heard_at = max((m.timestamp_ms for m in messages), default=self._heard_at)
        since = self._heard_at - SETTLED_MS
        self._worker.sent.apply(m for m in messages if m.timestamp_ms < since)
        lately = self._worker.sent.apply(m for m in messages if m.timestamp_ms >= since)
        for record_id, late in lately.items():
            self._heard[record_id] = late or self._heard.get(record_id, False)

    async def _set_right(self) -> None:
        """Take records again of which somebody was told a revision that was overtaken by then."""
        await self._worker.pointers.check()
        for record_id, pointer in (await self._told_late()).items():
            at = pointer.offset
            async for messages in self._logs.touches(pointer.partition, at, at + 1):
                await self._worker.take_again(messages, self._heard_at)
            self._heard.pop(record_id, None)

    async def _told_late(self) -> dict[bytes, Pointer]:
        """Return the owned records of which that is so, and forget the others heard of."""
        self._heard |= dict.fromkeys(self._worker.overtaken, True)
        self._worker.overtaken.clear()
        heard, sent = dict(self._heard), self._worker.sent
        found = await self._worker.pointers.latest(sorted(heard))
        late: dict[bytes, Pointer] = {}
        for record_id, is_late in heard.items():
            pointer, known = found.get(record_id), sent.get(record_id)
            if pointer and pointer.partition not in self._ends:
                pointer = None  # another's to set right
            overtaken = is_late or (pointer and known and known.revision < pointer.revision)
            if pointer and overtaken:
                late[record_id] = pointer
            elif self._heard.get(record_id) == is_late:
                del self._heard[record_id]
        return late

    async def _whole(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work over pointers of which none is missing; it may be begun again."""
        while True:
            try:
                await work()
            except TailLostError:
                log.warning("Redis lost what it had confirmed: replaying the touches")
                await self._make_whole()
            else:
                self._note_progress()
                return

    def _note_progress(self) -> None:
        for partition, reached in self._worker.pointers.vouched().items():
            self._ends[partition] = max(self._ends.get(partition, 0), reached)

    async def _make_whole(self) -> None:
        """Point again to every touch that was acknowledged and is not marked in Redis.

        If it fails halfway, all is expected of Redis again that it should hold: whoever reads or
        writes next notices what is still missing, and begins this anew.
        """
        self._note_progress()
        try:
            while not await self._replayed():
                pass
        except BaseException:
            self._worker.pointers.vouch(self._ends)
            raise

    async def _replayed(self) -> bool:
        """Replay what Redis lacks; False when it lost more meanwhile."""
        pointers = self._worker.pointers
        await pointers.claim_again()
        there = await pointers.reached()
        pointers.vouch({each: there.get(each, 0) for each in self._ends})
        try:
            for partition, end in self._ends.items():
                await self._replay(partition, there.get(partition, 0), end)
        except TailLostError:
            return False
        return True

    async def _replay(self, partition: int, start: int, end: int) -> None:
        if start >= end:
            return
        count = 0
        async for messages in self._logs.touches(partition, start, end):
            await self._worker.point_again(messages)
            count += len(messages)
        await self._worker.pointers.advance(partition, end)
        log.info("pointers replayed", partition=partition, touches=count)
