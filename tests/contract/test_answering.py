"""What the answering process keeps in Redis: quotas and positions, on both kinds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from silenthit.bus.clients import Message
from stream_processors.answer_positions import Positions
from stream_processors.answer_quota import Allowance, LookUpSettings, Quota
from stream_processors.pointers import EMBEDDED_REDIS, open_redis

NOW = 1_800_000_000_000


@pytest.fixture(params=["embedded", pytest.param("server", marks=pytest.mark.redis)])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    embedded = request.param == "embedded"
    client = open_redis(EMBEDDED_REDIS if embedded else request.getfixturevalue("redis_url"))
    yield client
    await client.aclose()


def message(offset: int, topic: str = "inquiries.fbi") -> Message:
    return Message(topic, 0, offset, NOW, b"k", b"v")


async def test_a_restart_goes_on_at_the_first_that_was_not_finished(redis: Any) -> None:
    positions = Positions(redis, "agency")
    assert await positions.load() == {}
    for offset in (4, 5, 6):
        positions.begun(message(offset))
    await positions.finished(message(6))
    assert await positions.load() == {("inquiries.fbi", 0): 4}
    await positions.finished(message(4))
    assert await positions.load() == {("inquiries.fbi", 0): 5}
    await positions.finished(message(5))
    assert await Positions(redis, "agency").load() == {("inquiries.fbi", 0): 7}


async def test_topics_and_buses_have_positions_of_their_own(redis: Any) -> None:
    positions = Positions(redis, "agency")
    for topic in ("inquiries.fbi", "inquiries.hsi"):
        positions.begun(message(1, topic))
    await positions.finished(message(1, "inquiries.hsi"))
    assert await positions.load() == {("inquiries.hsi", 0): 2}
    assert await Positions(redis, "partner").load() == {}


async def test_a_quota_outlives_a_restart_and_is_never_overdrawn(redis: Any) -> None:
    settings = LookUpSettings(allowance=Allowance(per_hour=3, per_day=5))
    first = [await Quota(redis, settings).spend("fbi", bytes([n]), NOW) for n in range(2)]
    assert first == [0, 0]
    again = Quota(redis, settings)
    waits = [await again.spend("fbi", bytes([n]), NOW) for n in range(10)]
    assert [wait == 0 for wait in waits] == [True, True, True, *[False] * 7]
    next_hour = NOW + waits[-1] * 1000
    waits = [await again.spend("fbi", bytes([100 + n]), next_hour) for n in range(5)]
    assert [wait == 0 for wait in waits] == [True, True, False, False, False]
    assert await again.spend("hsi", b"1", NOW) == 0


async def test_of_two_that_ask_for_the_last_look_up_at_once_one_gets_it(redis: Any) -> None:
    quota = Quota(redis, LookUpSettings(allowance=Allowance(per_hour=2, per_day=9)))
    for hour in range(20):
        at = NOW + hour * 86_400_000
        several = [quota.spend("fbi", bytes([hour, n]), at) for n in range(5)]
        assert [wait == 0 for wait in await asyncio.gather(*several)].count(True) == 2
