"""Bugs to plant into a worker, each of which the judge must notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from schemas.topics import WATCHES
from silenthit.bus.clients import Message
from stream_processors.checkpoint import advanced
from stream_processors.look_back import LookBack
from stream_processors.match_worker import MatchWorker
from stream_processors.under_way import Batch
from tests.histories.workers import PARTNERS, Worker

Plant = Callable[[Worker], None]
MOST = 1 << 40


async def _true(*_: Any, **__: Any) -> bool:
    return True


async def _nothing(*_: Any, **__: Any) -> None:
    pass


def skip_the_cut(worker: Worker) -> None:
    """Who takes a partition over trusts that all its watches have looked back."""

    async def take_over(partitions: dict[int, int], owns: Any) -> None:
        look_back = _look_back(worker)
        original, look_back.over = look_back.over, _nothing  # type: ignore[method-assign]
        try:
            await type(worker.partitions).take_over(worker.partitions, partitions, owns)
        finally:
            look_back.over = original  # type: ignore[method-assign]

    worker.partitions.take_over = take_over  # type: ignore[assignment,method-assign]


def never_look_back(worker: Worker) -> None:
    """A new watch meets only what comes."""
    _look_back(worker).over = _nothing  # type: ignore[method-assign]


def forget_sent(worker: Worker) -> None:
    """Nobody remembers who was alerted."""
    worker.worker.sent.put = lambda sent: None  # type: ignore[method-assign]


def do_not_read_sent(worker: Worker) -> None:
    """A new owner does not know whom the old one alerted."""

    async def sent() -> list[Message]:
        return []

    worker.sent = worker.sent_news = sent  # type: ignore[method-assign]


def trust_a_stale_checkpoint(worker: Worker) -> None:
    """The checkpoint passes watches before they have looked back."""
    look_back = _look_back(worker)

    async def over(watches: Sequence[Any]) -> None:
        places = [((w.place.topic, w.place.partition), w.place.offset) for w in watches]
        moved = {each: advanced(done, places) for each, done in look_back._owned.items()}
        await look_back._checkpoints.save(moved)
        await LookBack.over(look_back, watches)

    look_back.over = over  # type: ignore[method-assign]


def trust_what_others_have_read(worker: Worker) -> None:
    """Who takes a partition over leaves it at watches that its own index does not hold yet."""
    look_back = _look_back(worker)

    async def own(partitions: Any, read: Any, owns: Any) -> None:
        del read
        everything = dict.fromkeys(((WATCHES.of(each), 0) for each in PARTNERS), MOST)
        await LookBack.own(look_back, partitions, everything, owns)

    look_back.own = own  # type: ignore[method-assign]


def claim_unasked(worker: Worker) -> None:
    """Who lost a partition unnoticed claims it after its new owner, who puts up with it."""
    look_back = _look_back(worker)

    async def owned() -> bool:
        return True

    async def own(partitions: Any, read: Any, owns: Any) -> None:
        del owns
        await LookBack.own(look_back, partitions, read, owned)

    look_back.insist = _nothing  # type: ignore[method-assign]
    look_back.stands = _true  # type: ignore[method-assign]
    look_back.own = own  # type: ignore[method-assign]


def do_not_replay(worker: Worker) -> None:
    """Redis lost its tail, and the worker goes on with what is left."""

    async def go_on() -> None:
        pointers = worker.worker.pointers
        pointers.vouch(dict.fromkeys(worker.partitions._ends, 0))

    worker.partitions._make_whole = go_on  # type: ignore[method-assign]


def acknowledge_before_it_is_done(worker: Worker) -> None:
    """What a killed worker had read is not read again."""
    begin = worker.begin_touches

    def early(partitions: Sequence[int], most: int) -> None:
        begin(partitions, most)
        worker.acknowledged |= worker.assigned
        worker.commit()

    worker.begin_touches = early  # type: ignore[method-assign]


def take_overtaken_revisions(worker: Worker) -> None:
    """A lower revision that comes late counts."""
    original = MatchWorker._sort_out

    def sort_out(admitted: Any, before: Any) -> Any:
        before = {key: replace(each, revision=0) for key, each in before.items()}
        return original(worker.worker, admitted, before)

    worker.worker._sort_out = sort_out  # type: ignore[method-assign]


def keep_removed_watches(worker: Worker) -> None:
    """A removal changes nothing in the index."""
    index = worker.worker.index
    apply = index.apply
    index.apply = lambda changes: apply(  # type: ignore[method-assign]
        [change for change in changes if hasattr(change, "tokens")]
    )


def ignore_kinds_and_expiry(worker: Worker) -> None:
    """Every watch wants every touch, at any time."""
    worker.worker.index.wanted = (  # type: ignore[method-assign]
        lambda slots, kinds, at: np.ones(len(slots), np.bool_)
    )


def take_expired_touches(worker: Worker) -> None:
    """A touch whose time was over when it came counts."""
    admit = worker.worker._admission.admit

    def timeless(*args: Any) -> Any:
        admitted = admit(*args)
        for each in admitted:
            if hasattr(each, "clear"):
                each.clear = replace(each.clear, expiry_month="2040-01")
        return admitted

    worker.worker._admission.admit = timeless  # type: ignore[method-assign]


def point_backwards(worker: Worker) -> None:
    """Pointers stay at the first revision."""
    put = worker.worker.pointers.put

    async def first(touches: Sequence[Any], before: Any, **more: Any) -> None:
        await put([each for each in touches if each.record_id not in before], before, **more)

    worker.worker.pointers.put = first  # type: ignore[method-assign]


def let_revisions_race(worker: Worker) -> None:
    """Batches under way together do not wait for each other, whatever records they hold."""
    following = worker._flow.next

    async def alone(touches: int) -> Batch:
        batch = await following(touches)
        batch.ahead = None
        return batch

    worker._flow.next = alone  # type: ignore[method-assign]


def _look_back(worker: Worker) -> LookBack:
    return worker.partitions._look_back


PLANTED: tuple[Plant, ...] = (
    skip_the_cut,
    never_look_back,
    forget_sent,
    do_not_read_sent,
    trust_a_stale_checkpoint,
    trust_what_others_have_read,
    do_not_replay,
    acknowledge_before_it_is_done,
    take_overtaken_revisions,
    keep_removed_watches,
    ignore_kinds_and_expiry,
    take_expired_touches,
    point_backwards,
    let_revisions_race,
)
# One history in some thousands brings this one out: too few to look for it in each run. What it
# leaves out is tried on purpose in tests/unit/test_look_back.py.
RARE: tuple[Plant, ...] = (claim_unasked,)
