"""The pointer index and the checkpoints, on Redis and on the one in the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from silenthit.clock import SimulatedClock
from silenthit.errors import SettingsError
from stream_processors.admission import AdmittedTouch, Place, Retraction
from stream_processors.checkpoint import Checkpoints, NotOwnedError
from stream_processors.pointer_rows import GROUPS, bucket_of, claims_key, record_key
from stream_processors.pointers import (
    EMBEDDED_REDIS,
    Pointer,
    Pointers,
    TailLostError,
    open_redis,
)
from stream_processors.rebuild import POINTERS, drop
from tests.exchange_room import identified, owned, ssn, touch_of


@pytest.fixture(params=[EMBEDDED_REDIS, "redis_url", "redis_cluster_url"])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[object]:
    url = request.param
    client = open_redis(url if url == EMBEDDED_REDIS else request.getfixturevalue(url))
    yield client
    await client.aclose()


@pytest.fixture(params=[None, True], ids=["as-it-is", "scattered"])
def pointers(redis: object, request: pytest.FixtureRequest) -> Pointers:
    return Pointers(redis, scattered=request.param)


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


async def test_a_new_token_that_begins_like_an_old_one_is_found(pointers: Pointers) -> None:
    begins: dict[bytes, str] = {}
    for number in range(10_000):
        old = begins.setdefault(ssn(str(number)).value[:2], str(number))
        if old != str(number):
            new = str(number)
            break
    await pointers.put([admitted("r", old)], {})
    before = await pointers.latest([identified("r")])
    await pointers.put([admitted("r", new, revision=2)], before)
    assert await pointers.holders([ssn(new).value]) == {identified("r")}


async def test_of_a_retracted_record_no_token_is_left(pointers: Pointers, redis: object) -> None:
    await pointers.put([admitted("r", "1", "2")], {})
    before = await pointers.latest([identified("r")])
    await pointers.forget([retraction_of("r", 2)], before)
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
    await pointers.forget([retraction_of("9", 2)], await latest_of(pointers, "9"))
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


async def test_who_lost_a_partition_unnoticed_does_not_claim_after_its_new_owner(
    redis: object,
) -> None:
    old, new = Checkpoints(redis), Checkpoints(redis)
    asked = 0

    async def taken_meanwhile() -> bool:
        """Be owned when asked first, and have another claim before the claim is made."""
        nonlocal asked
        asked += 1
        if asked == 1:
            await new.claim([4, 7], owned)
            return True
        return False

    with pytest.raises(NotOwnedError):
        await old.claim([7], taken_meanwhile)
    assert asked == 2
    assert await new.save({7: {("watches.fbi", 0): 1}})
    assert await new.load(7) == {("watches.fbi", 0): 1}


async def test_a_checkpoint_is_read_back_as_saved(redis: object) -> None:
    checkpoints = Checkpoints(redis)
    assert await checkpoints.claim([4], owned) == {4: {}}
    positions = {("watches.fbi", 0): 12, ("watches.hsi", 0): 3}
    assert await checkpoints.save({4: positions})
    assert await checkpoints.load(4) == positions
    assert await Checkpoints(redis).claim([4], owned) == {4: positions}


async def test_whoever_lost_a_partition_saves_no_checkpoint_of_it(redis: object) -> None:
    old, new = Checkpoints(redis), Checkpoints(redis)
    await old.claim([4], owned)
    await new.claim([4], owned)
    assert not await old.save({4: {("watches.fbi", 0): 12}})
    assert await new.load(4) == {}
    assert await new.save({4: {("watches.fbi", 0): 1}})


async def test_an_owner_whose_claim_redis_forgot_saves_and_an_older_one_does_not(
    redis: object,
) -> None:
    old, new = Checkpoints(redis), Checkpoints(redis)
    await old.claim([4], owned)
    await new.claim([4], owned)
    await redis.delete(b"checkpoint:4")  # type: ignore[attr-defined]
    assert await new.save({4: {("watches.fbi", 0): 1}})
    assert not await old.save({4: {("watches.fbi", 0): 12}})


async def test_a_redis_filled_beside_another_cluster_is_refused(redis: object) -> None:
    await Checkpoints(redis).bind({"agency": "one", "partner": "two"})
    await Checkpoints(redis).bind({"agency": "one", "partner": "two"})
    with pytest.raises(SettingsError, match="another"):
        await Checkpoints(redis).bind({"agency": "new", "partner": "two"})


async def test_what_comes_late_lowers_no_record(pointers: Pointers) -> None:
    await pointers.put([admitted("r", "2", revision=2)], {})
    await pointers.put([admitted("r", "1", revision=1, offset=3)], {})
    assert (await latest_of(pointers, "r"))[identified("r")].revision == 2
    assert await pointers.holders([ssn("1").value]) == set()
    await pointers.forget([retraction_of("r", 2)], await latest_of(pointers, "r"))
    await pointers.put([admitted("r", "2", revision=2)], {})
    assert (await latest_of(pointers, "r"))[identified("r")].retracted
    assert await pointers.holders([ssn("2").value]) == set()


async def test_who_lost_a_partition_takes_out_no_row_that_a_later_revision_needs(
    redis: object,
) -> None:
    late, owner, record = Pointers(redis), Pointers(redis), identified("r")
    await late.claim({3: 1})
    await late.put([admitted("r", "1", revision=1)], {})
    before = await late.latest([record])
    await owner.claim({3: 2})
    await owner.put([admitted("r", "2", revision=2)], before)
    assert await owner.holders([ssn("1").value]) == set()
    await owner.put([admitted("r", "1", revision=3)], await owner.latest([record]))
    await late.put([admitted("r", "2", revision=2)], before)
    await late.forget([retraction_of("r", 2)], before)
    assert (await owner.latest([record]))[record].revision == 3
    assert await owner.holders([ssn("1").value]) == {record}


async def test_a_claim_is_never_lowered_and_is_written_again_after_a_loss(redis: object) -> None:
    late, owner, record = Pointers(redis), Pointers(redis), identified("r")
    await owner.claim({3: 2})
    await late.claim({3: 1})
    await owner.put([admitted("r", "1")], {})
    before = await owner.latest([record])
    await late.forget([retraction_of("r", 2)], before)
    assert (await owner.latest([record]))[record].retracted
    await redis.delete(*(claims_key(group) for group in range(GROUPS)))  # type: ignore[attr-defined]
    await owner.claim_again()
    await owner.put([admitted("s", "1")], {})
    await late.forget([retraction_of("s", 1)], await owner.latest([identified("s")]))
    blobs = await owner.blobs([bucket_of(ssn("1").value)])
    assert b"".join(blobs[0]).count(identified("s")) == 1


async def test_a_record_expires_with_its_touch(pointers: Pointers, redis: object) -> None:
    late = SimulatedClock(datetime(2031, 1, 31, 23, 59, tzinfo=UTC))
    await Pointers(redis, late).put([admitted("r", "1")], {})
    left = await redis.ttl(record_key(identified("r")))  # type: ignore[attr-defined]
    assert 0 < left <= 60
    await redis.delete(record_key(identified("r")))  # type: ignore[attr-defined]
    assert await pointers.holders([ssn("1").value]) == set()


async def test_the_marks_say_how_far_redis_holds_everything(pointers: Pointers) -> None:
    assert await pointers.reached() == {}
    await pointers.put([admitted("r", "1", offset=5)], {})
    await pointers.forget([retraction_of("s", 1, offset=9)], {})
    await pointers.put([admitted("t", "1", offset=7)], {})
    assert await pointers.reached() == {3: 10}
    await pointers.advance(3, 20)
    await pointers.advance(4, 2)
    assert await pointers.reached() == {3: 20, 4: 2}


async def test_a_redis_without_its_tail_is_noticed_and_not_written_to(redis: object) -> None:
    pointers = Pointers(redis)
    pointers.vouch({3: 0})
    await pointers.put([admitted("r", "1", offset=5)], {})
    await pointers.check()
    assert pointers.vouched() == {3: 6}
    for key in [key async for key in redis.scan_iter(match="*")]:  # type: ignore[attr-defined]
        await redis.delete(key)  # type: ignore[attr-defined]
    with pytest.raises(TailLostError):
        await pointers.check()
    with pytest.raises(TailLostError):
        await pointers.put([admitted("s", "1", offset=6)], {})
    with pytest.raises(TailLostError):
        await pointers.forget([retraction_of("r", 2, offset=7)], {})
    with pytest.raises(TailLostError):
        await pointers.latest([identified("s")])
    pointers.vouch({3: 0})
    assert await pointers.latest([identified("r"), identified("s")]) == {}
    await pointers.put([admitted("r", "1", offset=5)], {})
    await pointers.check()


@pytest.mark.parametrize("redis", ["redis_url", "redis_cluster_url"], indirect=True)
async def test_before_a_rebuild_every_pointer_is_dropped_and_nothing_else(redis: Any) -> None:
    pointers = Pointers(redis)
    records = [f"r{number}" for number in range(40)]  # in every group
    await pointers.put([admitted(each, each) for each in records], {})
    await redis.set(b"clusters", b"null")
    await drop(redis, POINTERS)
    assert [key async for key in redis.scan_iter(match="*")] == [b"clusters"]


def retraction_of(record: str, revision: int, offset: int = 6) -> Retraction:
    place = Place("touches", 3, offset, 78)
    return Retraction(place, "MA0130100", identified(record), revision)
