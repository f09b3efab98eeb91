"""One matching worker: its parts, its tasks, and the turn they take at them.

Touches come by Faust's consumer group, one partition to one worker; watches and `sent` are read by
assignment, whole, by every worker. A touch is acknowledged by hand, after everything that follows
from it is confirmed: Faust's own batching would acknowledge what a stopping worker had not done.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, ParamSpec, cast

import faust
import structlog
from faust.types import TP, EventT, StreamT

from schemas.topics import TOUCHES, WATCHES
from silenthit.bus.admin import cluster_id, committed_offsets
from silenthit.bus.clients import Message, Publisher
from silenthit.bus.fetch import PlaceReader
from silenthit.errors import RetryError
from stream_processors.checkpoint import Checkpoints, NotOwnedError, held_back
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.disclosures import Chain
from stream_processors.gathering import Gathering
from stream_processors.heartbeat import Heartbeat, beat
from stream_processors.kafka_logs import KafkaLogs
from stream_processors.look_back import KafkaTouchStore, LookBack
from stream_processors.match_worker import MatchWorker
from stream_processors.outgoing import KafkaOutbound
from stream_processors.partitions import Partitions
from stream_processors.pointers import Pointers, open_redis
from stream_processors.retry import Retries
from stream_processors.sent import SentLog
from stream_processors.settings import ExchangeSettings, Organisations
from stream_processors.steady import persist, take_steadily
from stream_processors.touch_flow import PATIENCE_S, TouchFlow
from stream_processors.transport import BatchMessage, Consumer
from stream_processors.turn import Turn
from stream_processors.under_way import Batch
from stream_processors.watch_index import WatchIndex
from stream_processors.watch_keys import WatchKeys
from stream_processors.watch_snapshot import Snapshot, restored

BATCH = 4_096  # touches taken together, at least, when so many wait: more cost Redis less
# Under way at once: more would not wait for each other either, but cost more than they save.
BATCHES, BATCHES_TOUCHES = 3, 3 * BATCH
WAITING = 64  # fetched batches that wait for their turn; Faust holds the next ones
READ_AT_ONCE = 1_000
READ_WAIT_S = 0.1
SNAPSHOT_EVERY_S = 300.0
LOOK_AFTER_S = 1.0
CLOSE_S = 3.0
SETTLE_S = 3.0

log = structlog.get_logger(__name__)

_P = ParamSpec("_P")


class Exchange:
    """One matching worker: its parts, its tasks, and the turn they take at them."""

    def __init__(self, app: faust.App, settings: ExchangeSettings, *, name: str) -> None:
        """Build the parts; nothing connects before `run`."""
        self.app, self._settings, self._name = app, settings, name
        self._turn = Turn(batches=BATCHES, touches=BATCHES_TOUCHES)
        self._gathering: Gathering[EventT[bytes]] = Gathering(
            most_events=WAITING, batch=BATCH, patience_s=PATIENCE_S
        )
        self._index_ready, self._owning = asyncio.Event(), asyncio.Event()
        self._assigned: frozenset[int] = frozenset()
        self._applied: dict[tuple[str, int], int] = {}
        self._saved: dict[tuple[str, int], int] = {}
        self._cluster, self._index_read_at = "", 0.0
        self._generation = 0
        self._organisations = Organisations.load(settings.organisations)
        self._watch_keys = WatchKeys(settings.watch_keys)
        self._redis = redis = open_redis(settings.redis)
        # An alert waits for nothing: who is told is confirmed first, so it would wait twice.
        self._publisher = Publisher(settings.bus.partner, client_id=f"{name}-out", linger_ms=0)
        self._disclosures = Chain(self._disclosing(), process=name, heads=settings.data)
        self.worker = MatchWorker(
            name=name,
            index=WatchIndex(),
            sent=SentLog(),
            pointers=Pointers(redis),
            outbound=KafkaOutbound(self._publisher),
            keys=self._organisations.sender_keys(),
            epochs=settings.known_epochs(),
            watch_keys=self._watch_keys,
            disclosures=self._disclosures,
        )
        store = KafkaTouchStore(PlaceReader(settings.bus.agency, client_id=f"{name}-back"))
        self._checkpoints = Checkpoints(redis)
        self._logs = KafkaLogs(
            settings.bus,
            name=name,
            partners=lambda: self._organisations.partners,
            applied=lambda: self._applied,
        )
        self._retries = Retries(redis, store, KafkaOutbound(self._publisher))
        look_back = LookBack(self.worker, self._checkpoints, store)
        self._partitions = Partitions(self.worker, look_back, self._logs)
        self._flow = TouchFlow(self._turn, self._owning, self._partitions, self.worker.set_aside)

    async def essential(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do work that the worker can't be without: if it fails, so does the worker."""
        try:
            await work()
        except Exception as error:
            log.exception("the worker can't go on")
            await self.app.crash(error)

    async def receive(self, stream: StreamT[bytes]) -> None:
        """Pass fetched batches on to `match`, which acknowledges them."""
        async for event in cast("Any", stream).noack().events():
            records, shares = _records(event), self.worker.shares
            shares.count(records)
            can_wait = all(map(shares.can_wait, records))
            await self._gathering.put(event, len(records), can_wait=can_wait)

    async def match(self) -> None:
        """Take touches in batches, for ever; several are under way at once."""
        async with asyncio.TaskGroup() as under_way:
            while True:
                events = await self._gathering.next()
                batch = await self._flow.next(sum(len(_records(event)) for event in events))
                under_way.create_task(self._take(events, batch))

    async def _take(self, events: Sequence[EventT[bytes]], batch: Batch) -> None:
        with batch:
            owned = self.app.consumer.assignment()
            # A partition that moved meanwhile is its new owner's.
            events = [event for event in events if event.message.tp in owned]
            messages = [_message(record) for event in events for record in _records(event)]
            await self._flow.take(messages, batch)
            for event in events:
                event.ack()
        self.worker.index.maintain()

    async def follow_watches(self) -> None:
        """Read every partner's registrations from the beginning, and go on reading, for ever."""
        await persist(self._restore, "snapshot")
        while True:
            await persist(self._follow_watches, "watches")

    async def _restore(self) -> None:
        """Begin with the watches that the last snapshot holds, if it fits."""
        cluster = self._cluster = await asyncio.to_thread(cluster_id, self._settings.bus.partner)
        index = self.worker.index
        index.loading = True
        self._applied = self._saved = await asyncio.to_thread(
            lambda: restored(
                self._settings.snapshot,
                index,
                self._watch_keys,
                cluster=cluster,
                partners=self._organisations.partners,
                now_ms=time.time_ns() // 1_000_000,
            )
        )

    async def save_snapshots(self) -> None:
        """Write the index to disk from time to time, for ever, when it has changed."""
        await self._index_ready.wait()
        while True:
            positions = held_back(self._applied, self.worker.early.places())
            if positions != self._saved:
                # Taken between two batches; written while others go on.
                taken = Snapshot.of(self.worker.index, self._cluster, positions)
                if await asyncio.to_thread(self._written, taken):
                    self._saved = positions
            await asyncio.sleep(SNAPSHOT_EVERY_S)

    def _written(self, taken: Snapshot) -> bool:
        """Write a snapshot; without one a restart takes longer, and nothing else is wrong."""
        if (key := self._watch_keys.newest) is None:
            return False
        try:
            taken.write(self._settings.snapshot, key)
        except OSError as error:
            log.warning("no snapshot written", error=type(error).__name__)
            return False
        return True

    async def _follow_watches(self) -> None:
        with self._logs.watch_reader(self._applied) as reader:
            while True:
                await asyncio.to_thread(reader.add_topics, self._watch_topics())
                read = await asyncio.to_thread(reader.read, READ_AT_ONCE, READ_WAIT_S)
                # First what waited: a newer message of the same registration has the last word.
                messages = [*self.worker.early.due(), *read]
                if messages:
                    await take_steadily(
                        messages, self._alone(self._take_watches), self.worker.set_aside
                    )
                # A topic that no broker tells of just now was read all the same.
                self._applied = {**self._applied, **reader.positions()}
                self._index_read_at = time.time()
                if self.worker.early.is_due_again():
                    async with self._turn.alone():  # a take-over counts with both of these
                        self._applied = {**self._applied, **self.worker.early.due_again()}
                    return  # and begin anew from there
                if not self._index_ready.is_set() and not reader.behind():
                    await asyncio.to_thread(self.worker.index.loaded)
                    gc.freeze()  # what is loaded stays: to look through it takes a while
                    log.info("watches loaded", watches=len(self.worker.index))
                    self._index_ready.set()

    async def follow_sent(self) -> None:
        """Hear what other workers tell, for ever."""
        await persist(self._logs.follow_sent, "sent")

    async def follow_organisations(self) -> None:
        """Notice agencies and partners that were enrolled or whose keys changed."""
        path, seen = self._settings.organisations, 0.0
        while True:
            changed = path.stat().st_mtime if path.exists() else 0.0
            if changed != seen:
                seen = changed
                self._organisations = self._organisations.reread(path)
                self.worker.keys = self._organisations.sender_keys()
                self._disclosures.settings = self._disclosing()
            await asyncio.sleep(1.0)

    def _disclosing(self) -> DisclosureSettings:
        return self._settings.disclosures.knowing(self._organisations.disclosure_keys)

    async def settle(self) -> None:
        """Finish the touches under way, and begin no others until partitions are taken over.

        Faust takes partitions away, or the worker is being stopped: what is told and not yet
        acknowledged would be told again by the next owner.
        """
        self._begin_none()
        try:
            async with asyncio.timeout(SETTLE_S):
                await self._flow.idle()
        except TimeoutError:
            log.warning("partitions go with touches under way")

    def _begin_none(self) -> None:
        self._generation += 1
        self._owning.clear()

    def assigned(self, partitions: Iterable[TP]) -> None:
        """Faust gave this worker its partitions: nothing is matched until they are taken over."""
        self._begin_none()
        self._assigned = frozenset(tp.partition for tp in partitions if tp.topic == TOUCHES.name)

    async def take_over(self, ready: Callable[[], None]) -> None:
        """Take over the partitions just assigned, once every watch is in the index."""
        generation = self._generation
        await self._index_ready.wait()
        await persist(self._alone(lambda: self._own(generation)), "take over")
        if generation == self._generation:
            self._owning.set()
            ready()

    async def _own(self, generation: int) -> None:
        if generation != self._generation:
            return
        agency, partner = self._settings.bus.agency, self._settings.bus.partner
        reached = await asyncio.to_thread(
            committed_offsets, agency, self._settings.name, TOUCHES.name
        )
        await self._checkpoints.bind(
            {
                "agency": await asyncio.to_thread(cluster_id, agency),
                "partner": await asyncio.to_thread(cluster_id, partner),
                "partitions": str(len(reached)),
            }
        )

        async def owns() -> bool:
            if generation != self._generation:
                return False
            current = await cast("Consumer", self.app.consumer).is_member()
            return current and generation == self._generation

        await self._partitions.take_over(
            {each: reached.get(each, 0) for each in self._assigned}, owns
        )
        log.info("partitions taken over", partitions=len(self._assigned))

    async def _take_watches(self, messages: Any) -> None:
        await self._partitions.take_watches(messages, owning=self._owning.is_set())

    async def look_after(self) -> None:
        """Notice, for ever, a Redis that lost its tail, and take again what an operator asks."""
        while True:
            await asyncio.sleep(LOOK_AFTER_S)
            await self._owning.wait()
            await persist(self._look_after, "look after")
            await persist(self._retry, "retry")

    async def _look_after(self) -> None:
        if not await self._partitions.is_in_order():
            await self._alone(self._set_right)()

    async def _set_right(self) -> None:
        if self._owning.is_set():
            try:
                await self._partitions.look_after()
            except NotOwnedError:
                log.warning("partitions are another's: waiting for the next assignment")

    async def _retry(self) -> None:
        if await self._retries.asked():
            await self._alone(self._take_retries)()

    async def _take_retries(self) -> None:
        async def take(messages: Sequence[Message]) -> None:
            await take_steadily(messages, self._partitions.take_again, self.worker.set_aside)

        owned = self._assigned if self._owning.is_set() else frozenset()
        await self._retries.take(owned, take)

    async def show_life(self) -> None:
        """Say each second what this worker holds and does, for `silenthit exchange status`."""
        before, since = 0, time.time()
        while True:
            await asyncio.sleep(LOOK_AFTER_S)
            tally, now = self.worker.tally, time.time()
            heartbeat = Heartbeat(
                name=self._name,
                at=now,
                partitions=tuple(sorted(self._assigned)) if self._owning.is_set() else (),
                touches=tally.touches,
                touches_per_s=round((tally.touches - before) / (now - since), 1),
                alerts=tally.alerts,
                quarantined=tally.quarantined,
                watches=len(self.worker.index),
                index_bytes=self.worker.index.nbytes,
                index_read_at=self._index_read_at,
            )
            before, since = tally.touches, now
            await persist(partial(beat, self._redis, heartbeat), "heartbeat")

    async def close(self) -> None:
        """Finish what is under way and end the chain of disclosures: the worker stops in order."""
        await self.settle()
        try:
            async with asyncio.timeout(CLOSE_S), self._turn.alone():
                links = self._disclosures.close()
                await KafkaOutbound(self._publisher).send(links)
                self._disclosures.confirmed(links)
        except (TimeoutError, RetryError):
            log.warning("disclosures not closed")

    def _watch_topics(self) -> list[str]:
        return [WATCHES.of(partner) for partner in self._organisations.partners]

    def _alone(self, work: Callable[_P, Awaitable[None]]) -> Callable[_P, Awaitable[None]]:
        async def working(*given: _P.args, **named: _P.kwargs) -> None:
            async with self._turn.alone():
                await work(*given, **named)

        return working


def _records(event: EventT[bytes]) -> list[Any]:
    return cast("BatchMessage", event.message).records


_FIELDS = attrgetter("topic", "partition", "offset", "timestamp", "key", "value", "headers")


def _message(record: Any) -> Message:
    return Message._make(_FIELDS(record))
