from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from silenthit.clock import Clock, SimulatedClock, SystemClock


@pytest.mark.parametrize("clock", [SystemClock(), SimulatedClock()])
async def test_times_are_aware_and_in_utc(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)
    await clock.sleep(0)


async def test_the_simulated_clock_stands_still_until_it_is_advanced() -> None:
    clock = SimulatedClock(datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert clock.now() == clock.now()
    await clock.advance(90)
    assert clock.now() == datetime(2026, 5, 1, 12, 1, 30, tzinfo=UTC)
    assert clock.monotonic() == 90


async def test_sleepers_wake_in_the_order_of_their_times_each_at_its_own() -> None:
    clock = SimulatedClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper(*one)) for one in (("late", 3), ("soon", 1), ("no", 9))]
    await asyncio.sleep(0)
    await clock.advance(5)
    assert woken == [("soon", 1), ("late", 3)]
    for task in tasks:
        task.cancel()


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        SimulatedClock(datetime(2026, 1, 1))  # noqa: DTZ001 the point of the test


def test_another_zone_is_turned_into_utc() -> None:
    clock = SimulatedClock(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
