"""When a batch begins, and with what."""

from __future__ import annotations

import asyncio

import pytest

from stream_processors.gathering import ENOUGH, Gathering

LONG_S = 60.0


def gathering(**more: float) -> Gathering[str]:
    given = {"most_events": 4, "batch": 1_000, "patience_s": LONG_S} | more
    return Gathering(**given)  # type: ignore[arg-type]


async def begins(taking: asyncio.Task[list[str]]) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return taking.done()


async def test_what_is_in_a_hurry_begins_at_once_with_all_that_waits_before_it() -> None:
    gathered = gathering()
    taking = asyncio.ensure_future(gathered.next())
    await gathered.put("flood", 3, can_wait=True)
    assert not await begins(taking)
    await gathered.put("light", 1, can_wait=False)
    assert await begins(taking)
    assert taking.result() == ["flood", "light"]


async def test_what_can_wait_does_so_no_longer_than_it_may() -> None:
    gathered = gathering(patience_s=0.01)
    await gathered.put("flood", 1, can_wait=True)
    assert await gathered.next() == ["flood"]


async def test_very_much_that_can_wait_does_not() -> None:
    gathered = gathering()
    await gathered.put("flood", ENOUGH, can_wait=True)
    assert await begins(asyncio.ensure_future(gathered.next()))


async def test_a_batch_is_about_as_large_as_it_is_to_be() -> None:
    gathered = gathering(batch=5)
    for name in ("a", "b", "c"):
        await gathered.put(name, 3, can_wait=False)
    assert await gathered.next() == ["a", "b"]
    assert await gathered.next() == ["c"]


@pytest.mark.parametrize("can_wait", [True, False])
async def test_who_puts_in_waits_while_it_is_full_and_nothing_else_does(can_wait: bool) -> None:
    gathered = gathering()
    for name in ("a", "b", "c", "d"):
        await gathered.put(name, 1, can_wait=can_wait)
    fifth = asyncio.ensure_future(gathered.put("e", 1, can_wait=can_wait))
    await asyncio.sleep(0)
    assert not fifth.done()
    assert await gathered.next() == ["a", "b", "c", "d"]
    await fifth
    gathered_last = asyncio.ensure_future(gathered.next())
    if can_wait:
        assert not await begins(gathered_last)
        await gathered.put("f", 1, can_wait=False)
    assert (await gathered_last)[0] == "e"
