"""Faust's aiokafka transport at speed: no tasks for each message, and batches where they are taken.

    app.transport = PromptTransport(app.conf.broker_consumer, app)
    app.transport.batched = frozenset({"orders"})

    @app.agent(app.topic("orders", value_serializer="raw", allow_empty=True))
    async def take(stream):
        async for event in stream.noack().events():
            await store(event.message.records)  # aiokafka's, of one partition, in order
            event.ack()                         # all of them

Stock Faust makes four asyncio tasks a message to notice that flow control was suspended while its
callback waited. Nearly every callback only puts an event into a queue that has room; so here the
callback is driven by hand, and becomes a task if it really has to wait. A batch goes through Faust
as one message: what its queues and flow control count is batches. Before partitions are taken away,
what was acknowledged is committed, which Faust forgets; `before_revoked` may finish first what is
under way. All else is Faust's own: which offsets are committed, how gaps, rebalances, pauses and
seeks are treated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from itertools import pairwise
from typing import Any, cast

from aiokafka.errors import KafkaError, NoError, RebalanceInProgressError
from aiokafka.protocol.group import HeartbeatRequest
from faust.transport.consumer import CONSUMER_FETCHING, ensure_TP
from faust.transport.drivers import aiokafka
from faust.types import TP
from faust.types.transports import ConsumerT
from faust.types.tuples import ConsumerMessage, ack_lock
from mode.utils.futures import notify

from silenthit.errors import RetryError

# Apache Kafka answers a waiting fetch as soon as there is a message. The embedded broker answers
# when the wait is over, and Faust's is 1.5 s: every alert of the demo would take most of a second.
FETCH_WAIT_MS = 50
FETCH_TIMEOUT_S = 1.0
YIELD_EVERY = 100
ASK_S = 3.0  # for the coordinator to answer, before it is asked again
LAST_COMMIT_S = 3.0  # a coordinator that is gone answers nobody


class BatchMessage(ConsumerMessage):
    """Records of one partition, handed on and acknowledged together."""

    __slots__ = ("records",)

    def __init__(self, tp: TP, records: list[Any], generation_id: int) -> None:
        """`records` are aiokafka's, in the order of their offsets, at least one."""
        last = records[-1]
        super().__init__(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            None,
            None,
            tp=tp,
            generation_id=generation_id,
        )
        self.records = records

    def on_final_ack(self, consumer: ConsumerT) -> bool:
        """Acknowledge every record."""
        return cast("Consumer", consumer).ack_batch(self)


class ConsumerThread(aiokafka.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka client."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 read when the client starts
        return consumer

    async def is_member(self) -> bool:
        """Ask the coordinator; in this thread.

        Not by aiokafka's own heartbeat: that forgets the generation when it is refused, in the
        middle of whatever else the client is doing. While a coordinator loads its groups it answers
        every heartbeat kindly, but no question for offsets.
        """
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator  # noqa: SLF001 nothing public asks it
        try:
            async with asyncio.timeout(ASK_S):
                await coordinator.fetch_committed_offsets(list(consumer.assignment()))
                asked = coordinator.group_id, coordinator.generation, coordinator.member_id
                answer = await coordinator._send_req(HeartbeatRequest(*asked))  # noqa: SLF001
        except KafkaError as error:
            raise RetryError(f"expected the group's answer, got {type(error).__name__}") from error
        # While the group is rebalancing, nobody else has been given anything yet.
        return answer.error_code in {NoError.errno, RebalanceInProgressError.errno}


class Consumer(aiokafka.Consumer):
    """Faust's consumer with a drain loop of its own."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self._first: dict[TP, int] = {}
        self._sought: set[TP] = set()
        super().__init__(*given, **named)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def ack_batch(self, message: BatchMessage) -> bool:
        """Mark all records of a batch as processed, as `ack` does with one message."""
        with ack_lock:
            if message.acked:
                return False
            message.acked = True
            self._unacked_messages.discard(message)
            if self.app.topics.acks_enabled_for(message.topic):
                committed, index = self._committed_offset[message.tp], self._acked_index[message.tp]
                offsets = [record.offset for record in message.records]
                if committed is not None and offsets[0] < committed:
                    offsets = [offset for offset in offsets if offset >= committed]
                if not index.isdisjoint(offsets):
                    offsets = [offset for offset in offsets if offset not in index]
                index.update(offsets)
                self._acked[message.tp].extend(offsets)
                self._n_acked += len(offsets)
            notify(self._waiting_for_ack)
            return True

    async def is_member(self) -> bool:
        """Whether the group still counts on this consumer, as of its last assignment.

        Until another assignment is made, nobody else owns its partitions. Raises RetryError or
        TimeoutError when the coordinator does not answer.
        """
        thread = cast("ConsumerThread", self._thread)
        # Never cancelled: the client's thread would fail to answer.
        asked = asyncio.create_task(thread.call_thread(thread.is_member))
        done, _ = await asyncio.wait({asked}, timeout=2 * ASK_S)
        if not done:
            raise TimeoutError
        return bool(asked.result())

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Hand nothing on, commit what is processed, and only then let the partitions go.

        Faust forgets first what was acknowledged: their next owner would process up to a commit
        interval of it once more.
        """
        if revoked and not self.app.should_stop:
            self.stop_flow()
            self.app.flow_control.suspend()
            self.app.flow_control.clear()
            await cast("PromptTransport", self.transport).before_revoked()
            await self.maybe_wait_for_commit_to_finish()
            # Never cancelled: the client's thread would fail to answer.
            await asyncio.wait({asyncio.create_task(self.force_commit())}, timeout=LAST_COMMIT_S)
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Go back to what is committed; remember that nothing was read since."""
        await super().perform_seek()
        self._sought = set(self._read_offset)

    def _note_first(self, tp: TP, offset: int) -> None:
        """Remember where a partition begins that was taken over, or gone back in, just now."""
        if tp in self._sought or self._read_offset[tp] is None:
            self._sought.discard(tp)
            committed = self._committed_offset[tp]
            if committed is None:
                self._first[tp] = offset
            elif committed < offset:
                self._gap[tp].addi(committed, offset)
        else:
            self._first.setdefault(tp, offset)

    def _new_offset(self, tp: TP) -> int | None:
        """Return the offset to commit: all before it are processed, or hold no message.

        Faust's own lets an offset go by that was not processed when the one after it was: the very
        first of a partition, and the one that the last commit named.
        """
        committed = self._committed_offset[tp]
        start = self._first.get(tp) if committed is None else committed
        acked, gaps = self._acked[tp], self._gap[tp]
        if not acked or start is None:
            return None
        acked.sort()
        reached, done = start, 0
        while True:
            while done < len(acked) and acked[done] <= reached:
                reached = max(reached, acked[done] + 1)
                done += 1
            holding = gaps.at(reached)
            if not holding:
                break
            reached = max(each.end for each in holding)
        self._acked_index[tp].difference_update(acked[:done])
        del acked[:done]
        gaps.chop(0, reached)
        return reached if reached > start else None

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and hand on, for as long as the fetcher runs."""
        try:
            while not (self.should_stop or fetcher.should_stop):  # or it has crashed
                self.diag.set_flag(CONSUMER_FETCHING)
                # A queue that always has room would never let anybody else run.
                await asyncio.sleep(0)
                await self._drain_once()
                self.diag.unset_flag(CONSUMER_FETCHING)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
            self.log.info("Broker stopped consumer, shutting down...")
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise
            self.log.info("Consumer shutting down for user cancel.")
        except Exception as error:
            self.log.exception("Drain messages raised %s", type(error).__name__)
            raise
        finally:
            self.diag.unset_flag(CONSUMER_FETCHING)

    async def _drain_once(self) -> None:
        records, active = await self._wait_next_records(FETCH_TIMEOUT_S)
        generation = self.app.consumer_generation_id
        if not records or self.should_stop:
            return
        if not self.flow_active:
            self.log.dev("fetched while flow not active. Seek back to committed offsets.")
            try:
                await self.perform_seek()
            except Exception as error:  # noqa: BLE001 as Faust: the next fetch tries again
                self.log.warning("exception performing seek when flow not active %s", error)
            return
        batched = cast("PromptTransport", self.transport).batched
        whole = {ensure_TP(tp): several for tp, several in records.items() if tp.topic in batched}
        singly = {
            ensure_TP(tp): several for tp, several in records.items() if tp.topic not in batched
        }
        for tp, several in whole.items():
            if not self._may_hand_on(generation):
                return
            if self._is_active(tp, active):
                await self._hand_on_batch(tp, several, generation)
            else:
                await self._put_back(tp, several[0].offset)
        await self._hand_on_singly(singly, active, generation)

    async def _hand_on_batch(self, tp: TP, records: list[Any], generation: int) -> None:
        read = self._read_offset[tp]
        if read is not None and records[0].offset < read:
            records = [record for record in records if record.offset >= read]
        if not records:
            return
        self._note_first(tp, records[0].offset)
        for before, after in _gaps(read, records):
            if self.app.topics.acks_enabled_for(tp.topic):
                await self._add_gap(tp, before + 1, after - 1)
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        await self._commit_if_due()
        await self._call_promptly(self.callback(BatchMessage(tp, records, generation)))
        self._read_offset[tp] = records[-1].offset

    async def _hand_on_singly(
        self, records: Mapping[TP, list[Any]], active: set[TP] | None, generation: int
    ) -> None:
        put_back: set[TP] = set()
        for number, (tp, record) in enumerate(self.scheduler.iterate(records)):
            if number % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
            if not self._may_hand_on(generation):
                return
            if self._is_active(tp, active):
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                await self._hand_on(tp, self._to_message(tp, record))
            elif tp not in put_back:
                put_back.add(tp)
                await self._put_back(tp, record.offset)

    async def _hand_on(self, tp: TP, message: ConsumerMessage) -> None:
        read = self._read_offset[tp]
        if read is not None and message.offset < read:
            self.log.dev("DROPPED MESSAGE ROFF %r", message.offset)
            return
        self._note_first(tp, message.offset)
        if (
            read is not None
            and message.offset - read > 1
            and self.app.topics.acks_enabled_for(message.topic)
        ):
            # Stock Faust counts the message's own offset as missing, too: it would be committed
            # as soon as a later one is acknowledged.
            await self._add_gap(tp, read + 1, message.offset - 1)
        await self._commit_if_due()
        await self._call_promptly(self.callback(message))
        self._read_offset[tp] = message.offset

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Note that these offsets, both included, hold no message.

        Faust's own leaves out the one that the last commit named.
        """
        committed = self._committed_offset[tp]
        offset_from = offset_from if committed is None else max(offset_from, committed)
        if offset_from <= offset_to:
            self._gap[tp].addi(offset_from, offset_to + 1)
            await asyncio.sleep(0)
            self._gap[tp].merge_overlaps()

    async def _put_back(self, tp: TP, offset: int) -> None:
        """Have records fetched again that came when their partition had just been paused.

        Faust's own drops them, and takes them for offsets without messages once it is resumed.
        """
        if tp in self.assignment():
            client = self._thread._ensure_consumer()  # noqa: SLF001 as Faust's own thread does
            await self._thread.call_thread(client.seek, tp, offset)

    async def _commit_if_due(self) -> None:
        if self._commit_every is not None and self._n_acked >= self._commit_every:
            self._n_acked = 0
            await self.commit()

    async def _call_promptly(self, called: Awaitable[None]) -> None:
        """Run a callback to its end; in a task, as Faust does, only if it has to wait."""
        callback = cast("Coroutine[Any, Any, None]", called)
        try:
            awaited = callback.send(None)
        except StopIteration:
            return
        await self.wait_first(_rest_of(callback, awaited), self.suspend_flow.wait())

    def _may_hand_on(self, generation: int) -> bool:
        """Whether nothing has happened since the fetch that makes its records another's."""
        return bool(self.flow_active) and self.app.consumer_generation_id == generation

    def _is_active(self, tp: TP, active: set[TP] | None) -> bool:
        return active is None or tp in active or tp in self._buffered_partitions


class PromptTransport(aiokafka.Transport):
    """For `app.transport`.

    `batched` names the topics whose agents take batches. `before_revoked` is awaited before
    partitions are taken away: an agent that works on several events at once may finish them.
    """

    Consumer = Consumer
    batched: frozenset[str] = frozenset()

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.before_revoked: Callable[[], Awaitable[None]] = _nothing


async def _nothing() -> None:
    """Agents that take one event at a time have nothing under way once flow has stopped."""


class _Rest:
    """What is left of a coroutine that was driven by hand until it first had to wait."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._coroutine, self._awaited = coroutine, awaited

    def __await__(self) -> Generator[Any, Any, None]:
        awaited = self._awaited
        while True:
            failed: BaseException | None = None
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 a cancellation, too, is the coroutine's
                failed = error
            try:
                if failed is None:
                    awaited = self._coroutine.send(sent)
                else:
                    awaited = self._coroutine.throw(failed)
            except StopIteration:
                return


async def _rest_of(coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
    await _Rest(coroutine, awaited)


def _gaps(read: int | None, records: list[Any]) -> Iterable[tuple[int, int]]:
    """Return the pairs of neighbouring offsets that are further apart than one."""
    if read is not None and records[0].offset - read > 1:
        yield read, records[0].offset
    if records[-1].offset - records[0].offset >= len(records):
        for one, other in pairwise(records):
            if other.offset - one.offset > 1:
                yield one.offset, other.offset
