"""Batches under way together: what one waits for, and what becomes of them when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from schemas.messages import AlertStatus
from silenthit.bus.clients import Message
from silenthit.errors import RetryError
from stream_processors import match_worker, steady, touch_flow
from stream_processors.checkpoint import Checkpoints
from stream_processors.look_back import LookBack
from stream_processors.partitions import Partitions
from stream_processors.pointers import Pointer, Pointers, open_redis
from stream_processors.settings import EMBEDDED_REDIS
from stream_processors.shares import Headed, Shares
from stream_processors.touch_flow import TouchFlow
from stream_processors.turn import Turn
from tests.exchange_room import Room, identified, ssn, touch_of


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "FIRST_DELAY_S", 0)
    monkeypatch.setattr(steady, "MAX_DELAY_S", 0)


class HeldPointers(Pointers):
    """Writes when it is let, and notes the order; or fails as often as it is told."""

    def __init__(self) -> None:
        super().__init__(open_redis(EMBEDDED_REDIS))
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.answer = asyncio.Event()
        self.answer.set()
        self.failures = 0
        self.asked: list[set[bytes]] = []
        self.puts: list[set[bytes]] = []

    async def latest(self, record_ids: Sequence[bytes]) -> dict[bytes, Pointer]:
        if record_ids:
            self.asked.append({*record_ids})
            await self.answer.wait()
        return await super().latest(record_ids)

    async def put(self, touches: Sequence[Any], before: Any, **more: Any) -> None:
        await self.go_on.wait()
        if touches and self.failures:
            self.failures -= 1
            raise RetryError("expected Redis, got none")
        await super().put(touches, before, **more)
        self.puts.append({touch.record_id for touch in touches})


@dataclass
class Desk:
    """One worker's way of touches."""

    room: Room = field(default_factory=Room)
    pointers: HeldPointers = field(default_factory=HeldPointers)
    owning: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: list[str] = field(default_factory=list)
    gives_way_s: float = touch_flow.GIVE_WAY_S

    def __post_init__(self) -> None:
        worker = self.room.worker
        worker.pointers = self.pointers
        back = LookBack(worker, Checkpoints(open_redis(EMBEDDED_REDIS)), None)  # type: ignore[arg-type]
        self.turn = Turn(batches=3, touches=100)
        partitions = Partitions(worker, back, None)  # type: ignore[arg-type]
        self.flow = TouchFlow(self.turn, self.owning, partitions, worker.set_aside)
        self.owning.set()

    async def begin(self, name: str, *messages: Message) -> asyncio.Task[None]:
        batch = await self.flow.next(len(messages))
        batch.gives_way_s = self.gives_way_s

        async def take() -> None:
            with batch:
                await self.flow.take(messages, batch)
                self.acknowledged.append(name)

        return asyncio.ensure_future(take())

    def touch(self, record: str, revision: int = 1, number: str = "1") -> Message:
        return self.room.message(touch_of(record, [ssn(number)], revision=revision), record)

    def told(self) -> list[tuple[bytes, int]]:
        return [(alert.record_id, alert.revision) for alert in self.room.alerts()]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    await desk.room.worker.take_watches([desk.room.registration("w", [ssn("1")])])
    yield desk
    desk.pointers.go_on.set()
    await desk.flow.idle()


async def soon(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 what is awaited has no event of its own
            await asyncio.sleep(0.001)


@asynccontextmanager
async def pointers_held(desk: Desk) -> AsyncIterator[None]:
    desk.pointers.go_on.clear()
    yield
    desk.pointers.go_on.set()
    await desk.flow.idle()


async def test_a_touch_is_told_while_those_ahead_are_still_pointed_to(desk: Desk) -> None:
    async with pointers_held(desk):
        await desk.begin("first", desk.touch("a"))
        await desk.begin("second", desk.touch("b"))
        await soon(lambda: desk.told() == [(identified("a"), 1), (identified("b"), 1)])
        assert desk.acknowledged == []
    assert desk.acknowledged == ["first", "second"]


async def test_pointers_are_written_and_touches_acknowledged_in_order(desk: Desk) -> None:
    async with pointers_held(desk):
        for name in ("a", "b", "c"):
            await desk.begin(name, desk.touch(name))
        await soon(lambda: len(desk.told()) == 3)
    assert desk.pointers.puts == [{identified("a")}, {identified("b"), identified("c")}]
    assert desk.acknowledged == ["a", "b", "c"]


async def test_revisions_of_a_record_follow_each_other_and_hold_up_nobody_else(desk: Desk) -> None:
    async with pointers_held(desk):
        await desk.begin("first", desk.touch("a"))
        await desk.begin("second", desk.touch("a", revision=2, number="2"), desk.touch("b"))
        await soon(lambda: (identified("b"), 1) in desk.told())
        assert (identified("a"), 2) not in desk.told()
    assert desk.told()[-1] == (identified("a"), 2)
    assert desk.room.alerts()[-1].status is AlertStatus.WITHDRAWN
    held = await desk.pointers.latest([identified("a")])
    assert held[identified("a")].revision == 2


async def test_a_mark_passes_no_touch_that_is_not_pointed_to(desk: Desk) -> None:
    async with pointers_held(desk):
        await desk.begin("first", desk.touch("a"))
        await desk.begin("second", desk.touch("a", revision=2), desk.touch("b"))
        await soon(lambda: (identified("b"), 1) in desk.told())
    assert desk.pointers.puts == [{identified("a")}, {identified("a"), identified("b")}]


class Flood(Shares):
    """Who it is that sends far more than the others."""

    def can_wait(self, message: Headed) -> bool:
        return cast("Message", message).key in {identified("x"), identified("y"), identified("z")}


@pytest.fixture
def flooded(desk: Desk) -> Desk:
    desk.room.worker.shares = Flood()
    return desk


async def test_the_others_are_told_before_a_flood_that_came_first(flooded: Desk) -> None:
    await flooded.begin("flood", flooded.touch("x"), flooded.touch("y"), flooded.touch("a"))
    await flooded.begin("other", flooded.touch("b"))
    await flooded.flow.idle()
    assert [record for record, _ in flooded.told()] == [
        identified(record) for record in ("a", "b", "x", "y")
    ]
    assert flooded.acknowledged == ["flood", "other"]


async def test_a_flood_gives_way_to_who_is_being_told(flooded: Desk) -> None:
    flooded.gives_way_s, pointers = 10.0, flooded.pointers
    pointers.answer.clear()
    await flooded.begin("flood", flooded.touch("x"))
    await flooded.begin("other", flooded.touch("a"))
    await asyncio.sleep(2 * touch_flow.PATIENCE_S)
    assert pointers.asked == [{identified("a")}]
    pointers.answer.set()
    await flooded.flow.idle()
    assert pointers.asked == [{identified("a")}, {identified("x")}]
    assert flooded.acknowledged == ["flood", "other"]


async def test_a_flood_gives_way_no_longer_than_it_may(flooded: Desk) -> None:
    flooded.gives_way_s, pointers = 0.001, flooded.pointers
    pointers.answer.clear()
    await flooded.begin("flood", flooded.touch("x"))
    await flooded.begin("other", flooded.touch("a"))
    await soon(lambda: pointers.asked == [{identified("a")}, {identified("x")}])
    pointers.answer.set()


async def test_what_cannot_wait_gives_way_to_nobody_beside_a_flood(flooded: Desk) -> None:
    flooded.gives_way_s, pointers = 10.0, flooded.pointers
    async with pointers_held(flooded):
        await flooded.begin("first", flooded.touch("b"))
        await flooded.begin("flood", flooded.touch("x"))
        await flooded.begin("second", flooded.touch("b", revision=2))
        await soon(lambda: flooded.told() == [(identified("b"), 1)])
        pointers.answer.clear()
        await flooded.begin("other", flooded.touch("a"))
        pointers.go_on.set()
        await soon(lambda: {identified("x"), identified("b")} in pointers.asked)
        pointers.answer.set()


async def test_batches_of_a_flood_end_together(flooded: Desk) -> None:
    for name in ("x", "a", "y", "z"):
        await flooded.begin(name, flooded.touch(name))
    await flooded.flow.idle()
    assert flooded.pointers.puts == [{identified(name) for name in ("x", "a", "y", "z")}]
    assert flooded.acknowledged == ["x", "a", "y", "z"]


async def test_a_flood_is_pointed_to_in_pieces_in_the_order_of_its_places(
    flooded: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_worker, "FLOOD_AT_ONCE", 2)
    await flooded.begin("all", *(flooded.touch(name) for name in ("a", "x", "b", "y", "z")))
    await flooded.flow.idle()
    in_order = [["a", "x"], ["b", "y"], ["z"]]
    assert flooded.pointers.puts == [{identified(each) for each in some} for some in in_order]


async def test_who_wants_to_be_alone_does_not_wait_for_patience(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.room.worker.shares = Flood()
    desk.flow._patience_s = 60.0
    taking = await desk.begin("flood", desk.touch("x"))
    await asyncio.sleep(0.01)
    assert not taking.done()
    async with asyncio.timeout(5), desk.turn.alone():
        assert desk.acknowledged == ["flood"]


async def test_a_flood_that_fails_is_taken_again_with_all_behind_it(flooded: Desk) -> None:
    flooded.pointers.failures = 1
    for name in ("x", "a", "y"):
        await flooded.begin(name, flooded.touch(name))
    await flooded.flow.idle()
    assert flooded.acknowledged == ["x", "a", "y"]
    held = await flooded.pointers.latest([identified(name) for name in ("x", "a", "y")])
    assert len(held) == 3
    assert flooded.room.worker.tally.touches == 3


async def test_nothing_overtakes_its_record_in_a_batch_that_nobody_could_admit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, admitting = desk.room.worker, asyncio.Event()
    read = worker._rounds

    async def broken(messages: Sequence[Message]) -> Any:
        if any(message.key == identified("bad") for message in messages):
            await admitting.wait()
            raise ZeroDivisionError
        return await read(messages)

    monkeypatch.setattr(worker, "_rounds", broken)
    await desk.begin("first", desk.touch("bad"), desk.touch("a"))
    await desk.begin("second", desk.touch("a", revision=2, number="2"))
    admitting.set()
    await desk.flow.idle()
    assert desk.room.reasons() == ["worker_error"]
    assert [(alert.revision, alert.status) for alert in desk.room.alerts()] == [
        (1, AlertStatus.ACTIVE),
        (2, AlertStatus.WITHDRAWN),
    ]


async def test_one_that_fails_is_taken_again_and_those_behind_it_after_it(desk: Desk) -> None:
    desk.pointers.failures = 2
    async with pointers_held(desk):
        for name in ("a", "b", "c"):
            await desk.begin(name, desk.touch(name))
        await soon(lambda: len(desk.told()) == 3)
    assert desk.acknowledged == ["a", "b", "c"]
    assert desk.pointers.puts == [{identified(name)} for name in ("a", "b", "c")]
    assert {record for record, _ in desk.told()} == {identified(name) for name in ("a", "b", "c")}
    assert len({alert.alert_id for alert in desk.room.alerts()}) == 3
    assert desk.room.worker.tally.touches == 3


async def test_nothing_begins_while_another_work_is_alone(desk: Desk) -> None:
    async with desk.turn.alone():
        later = asyncio.ensure_future(desk.begin("a", desk.touch("a")))
        await asyncio.sleep(0.01)
        assert not later.done()
    await (await later)
    assert desk.acknowledged == ["a"]


async def test_a_touch_that_no_try_can_take_is_set_aside_and_the_others_are_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = desk.room.worker
    sort_out = worker._sort_out

    def broken(admitted: Any, before: Any) -> Any:
        several = list(admitted)
        if any(each.record_id == identified("bad") for each in several):
            raise ZeroDivisionError
        return sort_out(several, before)

    monkeypatch.setattr(worker, "_sort_out", broken)
    tasks = [
        await desk.begin("first", desk.touch("bad"), desk.touch("a")),
        await desk.begin("second", desk.touch("b")),
    ]
    await asyncio.gather(*tasks)
    assert desk.room.reasons() == ["worker_error"]
    assert {record for record, _ in desk.told()} == {identified("a"), identified("b")}
    assert desk.acknowledged == ["first", "second"]


async def test_nothing_begins_while_the_partitions_are_not_owned(desk: Desk) -> None:
    desk.owning.clear()
    beginning = asyncio.ensure_future(desk.begin("a", desk.touch("a")))
    await asyncio.sleep(0.01)
    assert desk.told() == []
    desk.owning.set()
    await (await beginning)
    assert desk.acknowledged == ["a"]


async def test_many_batches_at_once_come_to_what_one_after_the_other_does(desk: Desk) -> None:
    records = ["a", "b", "c", "d", "e", "a", "f"]
    revisions = [1, 1, 1, 1, 1, 2, 1]
    for record, revision in zip(records, revisions, strict=True):
        await desk.begin(record, desk.touch(record, revision))
    await desk.flow.idle()
    expected = {(identified(r), n) for r, n in zip(records, revisions, strict=True)}
    assert set(desk.told()) == expected
    assert len(desk.told()) == len(expected)
    held = await desk.pointers.latest([identified(record) for record in records])
    assert {record: held[identified(record)].revision for record in records} == {
        **dict.fromkeys(records, 1),
        "a": 2,
    }
    assert desk.room.worker.tally.touches == 7
