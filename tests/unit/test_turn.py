from __future__ import annotations

import asyncio

import pytest

from stream_processors.turn import Turn


async def waits(work: asyncio.Task[None]) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return not work.done()


@pytest.fixture
def turn() -> Turn:
    return Turn(batches=2, touches=10)


def entering(turn: Turn, touches: int) -> asyncio.Task[None]:
    return asyncio.ensure_future(turn.enter(touches))


def being_alone(turn: Turn, until: asyncio.Event) -> asyncio.Task[None]:
    async def alone() -> None:
        async with turn.alone():
            await until.wait()

    return asyncio.ensure_future(alone())


async def test_so_many_batches_are_inside_and_no_more(turn: Turn) -> None:
    await turn.enter(1)
    await turn.enter(1)
    third = entering(turn, 1)
    assert await waits(third)
    turn.leave(1)
    assert not await waits(third)


async def test_one_that_only_waits_for_its_end_makes_room_for_another(turn: Turn) -> None:
    await turn.enter(1)
    await turn.enter(1)
    turn.wait()
    assert not await waits(entering(turn, 1))
    fourth = entering(turn, 1)
    assert await waits(fourth)
    turn.leave(1, waited=True)
    assert await waits(fourth)
    turn.leave(1)
    assert not await waits(fourth)


async def test_who_waits_for_those_inside_to_end_presses_them(turn: Turn) -> None:
    await turn.enter(8)
    turn.wait()
    assert not turn.pressed.is_set()
    second = entering(turn, 3)
    assert await waits(second)
    assert turn.pressed.is_set()
    turn.leave(8, waited=True)
    assert not await waits(second)
    assert not turn.pressed.is_set()
    alone = being_alone(turn, asyncio.Event())
    assert await waits(alone)
    assert turn.pressed.is_set()


async def test_of_large_batches_there_are_fewer(turn: Turn) -> None:
    await turn.enter(8)
    second = entering(turn, 3)
    assert await waits(second)
    turn.leave(8)
    assert not await waits(second)


async def test_a_batch_that_is_larger_than_all_room_comes_in_alone(turn: Turn) -> None:
    await turn.enter(1)
    huge = entering(turn, 11)
    assert await waits(huge)
    turn.leave(1)
    assert not await waits(huge)


async def test_who_wants_to_be_alone_waits_for_those_inside_and_lets_none_pass(turn: Turn) -> None:
    await turn.enter(1)
    over = asyncio.Event()
    alone = being_alone(turn, over)
    later = entering(turn, 1)
    assert await waits(alone)
    assert await waits(later)
    turn.leave(1)
    assert await waits(later)
    over.set()
    assert not await waits(alone)
    assert not await waits(later)


async def test_two_are_never_alone_together(turn: Turn) -> None:
    first_over, second_over = asyncio.Event(), asyncio.Event()
    first, second = being_alone(turn, first_over), being_alone(turn, second_over)
    second_over.set()
    assert await waits(second)
    first_over.set()
    assert not await waits(first)
    assert not await waits(second)


async def test_who_gives_up_waiting_to_be_alone_keeps_nobody_out(turn: Turn) -> None:
    await turn.enter(1)
    alone = being_alone(turn, asyncio.Event())
    later = entering(turn, 1)
    assert await waits(alone)
    alone.cancel()
    assert not await waits(later)


async def test_a_lull_comes_when_those_inside_only_wait_for_their_end(turn: Turn) -> None:
    await turn.enter(1)
    turn.wait()
    assert not await waits(asyncio.ensure_future(turn.lull(10)))
    await turn.enter(1)
    lull = asyncio.ensure_future(turn.lull(10))
    assert await waits(lull)
    turn.wait()
    assert not await waits(lull)


async def test_where_no_lull_comes_it_is_not_waited_for_long(turn: Turn) -> None:
    await turn.enter(1)
    await asyncio.wait_for(turn.lull(0.01), 10)
