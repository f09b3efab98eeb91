from __future__ import annotations

from collections.abc import Sequence

import pytest

from schemas.messages import registration_key
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.bus.clients import Message
from stream_processors import early_watches
from stream_processors.checkpoint import Checkpoints, NotOwnedError
from stream_processors.look_back import LookBack
from stream_processors.pointers import EMBEDDED_REDIS, open_redis
from tests.exchange_room import Room, identified, owned, ssn, touch_of


class Log:
    """Touches as Kafka keeps them, and what was asked for."""

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], Message] = {}
        self.asked = 0

    async def fetch(self, places: Sequence[tuple[int, int]]) -> list[Message]:
        self.asked += len(places)
        return [self.held[place] for place in places if place in self.held]


class Back:
    """A room with a log of touches and the cut."""

    def __init__(self) -> None:
        self.room, self.log = Room(), Log()
        self.checkpoints = Checkpoints(open_redis(EMBEDDED_REDIS))
        self.look_back = LookBack(self.room.worker, self.checkpoints, self.log)

    async def touch(self, record: str, *values: str, revision: int = 1) -> None:
        touch = touch_of(record, [ssn(v) for v in values], revision=revision)
        message = self.room.message(touch, record)
        self.log.held[message.partition, message.offset] = message
        await self.room.worker.take_touches([message])

    async def watch(self, number: str, *values: str) -> None:
        message = self.room.registration(number, [ssn(v) for v in values])
        await self.look_back.over(await self.room.worker.take_watches([message]))

    def found(self) -> list[tuple[bytes, bool]]:
        return [(alert.record_id, alert.earlier) for alert in self.room.alerts()]


@pytest.fixture
async def back() -> Back:
    made = Back()
    await made.look_back.own([0], {}, owned)
    assert made.look_back.behind() == {}
    return made


async def test_a_new_watch_meets_the_touches_before_it_by_look_back_and_later_ones_live(
    back: Back,
) -> None:
    await back.touch("before", "1")
    await back.touch("other", "2")
    await back.watch("w", "1")
    await back.touch("after", "1")
    assert back.found() == [(identified("before"), True), (identified("after"), False)]
    assert back.log.asked == 1


async def test_only_the_latest_revision_is_looked_back_on(back: Back) -> None:
    await back.touch("r", "1")
    await back.touch("r", "2", revision=2)
    await back.watch("w", "1")
    await back.watch("v", "2")
    assert [(alert.revision, alert.earlier) for alert in back.room.alerts()] == [(2, True)]


async def test_a_retracted_touch_is_not_found(back: Back) -> None:
    await back.touch("r", "1")
    await back.room.worker.take_touches([back.room.message(None, "r", revision=2)])
    await back.watch("w", "1")
    assert back.found() == []


async def test_a_touch_that_kafka_no_longer_has_is_gone(back: Back) -> None:
    await back.touch("r", "1")
    back.log.held.clear()
    await back.watch("w", "1")
    assert back.found() == []


async def test_the_checkpoint_keeps_a_watch_from_looking_back_twice(back: Back) -> None:
    await back.touch("r", "1")
    message = back.room.registration("w", [ssn("1")])
    await back.look_back.over(await back.room.worker.take_watches([message]))
    again = LookBack(back.room.worker, back.checkpoints, back.log)
    await again.own([0], {("watches.fbi", 0): message.offset + 1}, owned)
    assert again.behind() == {("watches.fbi", 0): message.offset + 1}
    await again.over(back.room.worker.live_watches([message]))
    assert len(back.found()) == 1


async def test_a_partition_gained_is_looked_over_for_the_watches_its_checkpoint_lacks(
    back: Back,
) -> None:
    await back.touch("r", "1")
    message = back.room.registration("w", [ssn("1")])
    # The worker that took the watch in died before it had looked back.
    await back.room.worker.take_watches([message])
    heir = LookBack(back.room.worker, back.checkpoints, back.log)
    await heir.own([0], {}, owned)
    assert heir.behind() == {}
    await heir.over(back.room.worker.live_watches([message]))
    assert back.found() == [(identified("r"), True)]


async def test_a_watch_that_the_new_owner_has_not_read_looks_back_once_more_when_it_has(
    back: Back,
) -> None:
    message = back.room.registration("w", [ssn("1")])
    await back.look_back.over(await back.room.worker.take_watches([message]))
    # The new owner was cut off for a while: its index lacks what the old one's has.
    slow = Room()
    slow.worker.pointers = back.room.worker.pointers
    heir = LookBack(slow.worker, back.checkpoints, back.log)
    await heir.own([0], {}, owned)
    touched = back.room.message(touch_of("r", [ssn("1")]), "r")
    back.log.held[touched.partition, touched.offset] = touched
    await slow.worker.take_touches([touched])
    assert slow.alerts() == []
    # Whoever comes after it reads from Redis what has to look back, too.
    assert await back.checkpoints.load(0) == {("watches.fbi", 0): 0}
    await heir.over(await slow.worker.take_watches([message]))
    assert [(alert.record_id, alert.earlier) for alert in slow.alerts()] == [
        (identified("r"), True)
    ]
    assert await back.checkpoints.load(0) == {("watches.fbi", 0): message.offset + 1}


async def test_a_checkpoint_that_redis_lost_the_end_of_is_written_down_again(back: Back) -> None:
    message = back.room.registration("w", [ssn("1")])
    await back.look_back.over(await back.room.worker.take_watches([message]))
    heir = LookBack(Room().worker, back.checkpoints, back.log)
    await heir.own([0], {}, owned)
    assert await back.checkpoints.load(0) == {("watches.fbi", 0): 0}
    # Redis goes back to what it said before.
    await back.checkpoints.save({0: {("watches.fbi", 0): message.offset + 1}})
    await heir.insist()
    assert await back.checkpoints.load(0) == {("watches.fbi", 0): 0}
    # And again, just before the partitions are moved, and stay.
    await back.checkpoints.save({0: {("watches.fbi", 0): message.offset + 1}})
    await heir.own([0], {("watches.fbi", 0): message.offset + 1}, owned)
    assert await back.checkpoints.load(0) == {("watches.fbi", 0): 0}


async def test_an_owner_claims_again_what_another_claimed_and_one_that_is_none_does_not(
    back: Back,
) -> None:
    positions = {("watches.fbi", 0): 5}
    late = Checkpoints(back.checkpoints._redis)
    await late.claim([0], owned)
    assert not await back.checkpoints.save({0: positions})
    await back.look_back.insist()
    assert await back.checkpoints.save({0: positions})
    assert not await late.save({0: positions})

    async def lost() -> bool:
        return False

    back.look_back._owns = lost
    await late.claim([0], owned)
    with pytest.raises(NotOwnedError):
        await back.look_back.insist()
    assert await late.save({0: positions})


async def test_a_watch_whose_epoch_the_new_owner_does_not_know_looks_back_when_it_does(
    back: Back,
) -> None:
    message = back.room.registration("w", [ssn("1")], epoch=2)
    await back.look_back.over(await back.room.worker.take_watches([message]))
    states = {1: EpochState.CURRENT}
    late = Room()
    late.worker.epochs, late.worker.pointers = Epochs(states), back.room.worker.pointers
    heir = LookBack(late.worker, back.checkpoints, back.log)
    await heir.over(await late.worker.take_watches([message]))
    await heir.own([0], {("watches.fbi", 0): message.offset + 1}, owned)
    touched = back.room.message(touch_of("r", [ssn("1")]), "r")
    back.log.held[touched.partition, touched.offset] = touched
    await late.worker.take_touches([touched])
    assert late.alerts() == []
    states[2] = EpochState.CURRENT
    await heir.over(await late.worker.take_watches(late.worker.early.due()))
    assert [alert.record_id for alert in late.alerts()] == [identified("r")]


async def test_a_watch_that_waited_for_its_epoch_looks_back_when_it_comes_to_be(back: Back) -> None:
    states = {1: EpochState.CURRENT}
    back.room.worker.epochs = Epochs(states)
    await back.touch("r", "1")
    early = back.room.registration("w", [ssn("1")], epoch=2)
    later = back.room.registration("v", [ssn("9")])
    for message in (early, later):
        await back.look_back.over(await back.room.worker.take_watches([message]))
    assert back.found() == []
    assert await back.checkpoints.load(0) == {("watches.fbi", 0): early.offset}
    states[2] = EpochState.CURRENT
    due = back.room.worker.early.due()
    await back.look_back.over(await back.room.worker.take_watches(due))
    assert back.found() == [(identified("r"), True)]


async def test_watches_too_many_to_keep_are_read_again_when_their_epoch_is_known(
    back: Back, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_watches, "MOST", 1)
    states = {1: EpochState.CURRENT}
    worker = back.room.worker
    worker.epochs = Epochs(states)
    await back.touch("r", "1")
    kept, passed, more = (back.room.registration(n, [ssn("1")], epoch=2) for n in "kpm")
    for message in (kept, passed, more, back.room.registration("v", [ssn("9")])):
        await back.look_back.over(await worker.take_watches([message]))
    assert await back.checkpoints.load(0) == {("watches.fbi", 0): kept.offset}
    assert worker.early.due_again() == {}
    states[2] = EpochState.CURRENT
    await back.look_back.over(await worker.take_watches(worker.early.due()))
    assert await back.checkpoints.load(0) == {("watches.fbi", 0): passed.offset}
    assert worker.early.due_again() == {("watches.fbi", 0): passed.offset}
    assert worker.early.due_again() == {}
    await back.look_back.over(await worker.take_watches([passed, more]))
    assert len(back.found()) == 3


async def test_a_watch_removed_meanwhile_does_not_look_back(back: Back) -> None:
    await back.touch("r", "1")
    message = back.room.registration("w", [ssn("1")])
    await back.room.worker.take_watches([message])
    gone = back.room.raw("watches.fbi", registration_key(identified("w"), 1), None)
    await back.room.worker.take_watches([gone])
    await back.look_back.over(back.room.worker.live_watches([message]))
    assert back.found() == []


async def test_over_partitions_that_nobody_touched_yet_no_watch_looks_back(back: Back) -> None:
    message = back.room.registration("w", [ssn("1")])
    await back.room.worker.take_watches([message])
    await back.look_back.begin([0], {("watches.fbi", 0): message.offset + 1})
    await back.touch("r", "1")
    await back.look_back.over(back.room.worker.live_watches([message]))
    assert back.found() == [(identified("r"), False)]
    await back.watch("v", "1")  # one that comes later does
    assert back.found()[1:] == [(identified("r"), True)]


async def test_a_watch_looks_back_by_what_it_is_by_now(back: Back) -> None:
    await back.touch("old", "1")
    await back.touch("new", "2")
    messages = [back.room.registration("w", [ssn(value)]) for value in ("1", "2")]
    await back.room.worker.take_watches(messages)
    for message in messages:  # read in two pieces
        await back.look_back.over(back.room.worker.live_watches([message]))
    assert back.found() == [(identified("new"), True)]


async def test_only_partitions_owned_are_looked_over() -> None:
    made = Back()
    await made.look_back.own([7], {}, owned)
    await made.touch("r", "1")
    message = made.room.registration("w", [ssn("1")])
    await made.look_back.over(await made.room.worker.take_watches([message]))
    assert made.found() == []
    await made.look_back.own([0, 7], {}, owned)
    await made.look_back.over(made.room.worker.live_watches([message]))
    assert made.found() == [(identified("r"), True)]
