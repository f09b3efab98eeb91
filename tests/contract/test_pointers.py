"""The pointer index and the checkpoints, on Redis and on the one in the process."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stream_processors.admission import AdmittedTouch, Place, Retraction
from stream_processors.checkpoint import Checkpoints
from stream_processors.pointers import EMBEDDED_REDIS, Pointer, Pointers, open_redis
from tests.exchange_room import identified, ssn, touch_of


@pytest.fixture(params=["embedded", pytest.param("server", marks=pytest.mark.redis)])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[object]:
    embedded = request.param == "embedded"
    client = open_redis(EMBEDDED_REDIS if embedded else request.getfixturevalue("redis_url"))
    yield client
    await client.aclose()


@pytest.fixture
def pointers(redis: object) -> Pointers:
    return Pointers(redis)


def admitted(record: str, *values: str, revision: int = 1, offset: int = 5) -> AdmittedTouch:
    touch = touch_of(record, [ssn(value) for value in values], revision=revision)
    return AdmittedTouch.of(Place("touches", 3, offset, 77), "MA0130100", touch)


async def test_a_pointer_says_where_the_latest_revision_lies(pointers: Pointers) -> None:
    await pointers.put([admitted("r", "1", revision=2)], {})
    found = await pointers.latest([identified("r"), identified("s")])
    assert found.keys() == {identified("r")}
    pointer = found[identified("r")]
    assert (pointer.revision, pointer.partition, pointer.offset) == (2, 3, 5)
    assert (pointer.appended_at, pointer.organisation) == (77, "MA0130100")
    assert Pointer.unpacked(pointer.packed()) == pointer


async def test_a_token_leads_to_its_records_until_a_revision_drops_it(pointers: Pointers) -> None:
    await pointers.put([admitted("r", "1", "2"), admitted("s", "2")], {})
    assert await pointers.holders([ssn("2").value]) == {identified("r"), identified("s")}
    before = await pointers.latest([identified("r")])
    await pointers.put([admitted("r", "1", revision=2)], before)
    assert await pointers.holders([ssn("2").value]) == {identified("s")}
    assert await pointers.holders([ssn("1").value]) == {identified("r")}


async def test_of_a_retracted_record_no_token_is_left(pointers: Pointers, redis: object) -> None:
    await pointers.put([admitted("r", "1", "2")], {})
    before = await pointers.latest([identified("r")])
    retraction = Retraction(Place("touches", 3, 6, 78), "MA0130100", identified("r"), 2)
    await pointers.forget([retraction], before)
    # The one in the process keeps the keys of emptied lists; nothing may be left in them.
    lists = [key for key in await redis.keys("*") if key.startswith(b"t:")]  # type: ignore[attr-defined]
    assert [key for key in lists if await redis.lrange(key, 0, -1)] == []  # type: ignore[attr-defined]
    (left,) = (await pointers.latest([identified("r")])).values()
    assert (left.revision, left.retracted, left.prefixes) == (2, True, b"")
    assert await pointers.holders([ssn("1").value, ssn("2").value]) == set()


async def test_what_is_no_blob_of_the_record_stays_when_it_is_retracted(pointers: Pointers) -> None:
    several = [admitted(str(number), "1", str(number)) for number in range(40)]
    await pointers.put(several, {})
    await pointers.put([admitted("7", "1", "8", revision=2)], await latest_of(pointers, "7"))
    gone = Retraction(Place("touches", 3, 6, 78), "MA0130100", identified("9"), 2)
    await pointers.forget([gone], await latest_of(pointers, "9"))
    held = {identified(str(number)) for number in range(40)}
    assert await pointers.holders([ssn("1").value]) == held - {identified("9")}
    assert await pointers.holders([ssn("8").value]) == {identified("7"), identified("8")}
    assert await pointers.holders([ssn("7").value]) == set()


async def latest_of(pointers: Pointers, record: str) -> dict[bytes, Pointer]:
    return await pointers.latest([identified(record)])


async def test_nothing_asked_is_nothing_found(pointers: Pointers) -> None:
    assert await pointers.latest([]) == {}
    assert await pointers.holders([]) == set()
    await pointers.put([], {})
    await pointers.forget([], {})


async def test_a_checkpoint_is_read_back_as_saved(redis: object) -> None:
    checkpoints = Checkpoints(redis)
    assert await checkpoints.load(4) == {}
    await checkpoints.save(4, {("watches.fbi", 0): 12, ("watches.hsi", 0): 3})
    assert await checkpoints.load(4) == {("watches.fbi", 0): 12, ("watches.hsi", 0): 3}
