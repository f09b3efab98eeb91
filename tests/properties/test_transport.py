"""Which offset may be committed, over random gaps, batches and orders of acknowledgement."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from intervaltree import IntervalTree

from stream_processors.transport import BatchMessage, Consumer, _gaps, _rest_of

HERE = TP("t", 0)

runs = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=12)


def record(offset: int) -> SimpleNamespace:
    return SimpleNamespace(offset=offset, timestamp=1, timestamp_type=0)


class Ledger(Consumer):
    """The part of the consumer that keeps the books, without Kafka."""

    def __init__(self, committed: int | None) -> None:
        self.app = SimpleNamespace(topics=SimpleNamespace(acks_enabled_for=lambda _: True))
        self._gap = defaultdict(IntervalTree)
        self._acked, self._acked_index = defaultdict(list), defaultdict(set)
        self._committed_offset = defaultdict(lambda: committed)
        self._read_offset = defaultdict(lambda: committed)
        self._first, self._sought = {}, {HERE}
        self._unacked_messages, self._waiting_for_ack, self._n_acked = set(), None, 0


@given(
    start=st.integers(0, 5),
    spread=runs,
    sizes=st.lists(st.integers(1, 5), min_size=40, max_size=40),
    data=st.data(),
)
def test_no_offset_is_committed_before_all_up_to_it_are_processed(
    start: int, spread: list, sizes: list[int], data: st.DataObject
) -> None:
    offsets, at = [], start
    for gap, run in spread:
        offsets += range(at + gap, at + gap + run)
        at = offsets[-1] + 1
    ledger, waiting = Ledger(start or None), []
    read, left, committed = start or None, offsets, 0
    for size in sizes:
        several, left = [record(each) for each in left[:size]], left[size:]
        if several:
            ledger._read_offset[HERE] = read
            ledger._note_first(HERE, several[0].offset)
            for before, after in _gaps(read, several):
                asyncio.run(ledger._add_gap(HERE, before + 1, after - 1))
            read = several[-1].offset
            waiting.append(BatchMessage(HERE, several, 1))
        while waiting and (not left or data.draw(st.booleans())):
            batch = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            assert ledger.ack_batch(batch)
            assert not ledger.ack_batch(batch)
            new = ledger._new_offset(HERE)
            if new is not None:
                ledger._committed_offset[HERE] = committed = new
            unprocessed = [each.offset for one in waiting for each in one.records] + left[:1]
            assert committed <= min(unprocessed, default=offsets[-1] + 1)
    assert committed == offsets[-1] + 1


def test_a_callback_that_waits_goes_on_where_it_stopped_and_may_be_cancelled() -> None:
    async def scene() -> list[str]:
        gate, done = asyncio.Event(), []

        async def callback() -> None:
            try:
                await gate.wait()
                done.append("passed")
                await asyncio.sleep(0)
                done.append("twice")
            except asyncio.CancelledError:
                done.append("cancelled")
                raise

        first, second = callback(), callback()
        waits: list[Any] = [each.send(None) for each in (first, second)]
        going = asyncio.create_task(_rest_of(first, waits[0]))
        cancelled = asyncio.create_task(_rest_of(second, waits[1]))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        gate.set()
        await going
        return done

    assert asyncio.run(scene()) == ["cancelled", "passed", "twice"]
