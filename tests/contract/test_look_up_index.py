"""The pointer index as look-ups read it, on Redis and on the one in the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas import codec
from schemas.messages import TouchHeader
from silenthit.bus.clients import Message
from silenthit.bus.sender import sender_headers
from stream_processors.admission import AdmittedTouch, admit_touch
from stream_processors.look_up_index import CHUNK_BYTES, MERGE_FROM, MOST_ROWS, LookUpIndex
from stream_processors.pointer_rows import BUCKET_KEYS, ENTRY, ENTRY_BYTES, bucket_of
from stream_processors.pointers import EMBEDDED_REDIS, Pointers, TailLostError, open_redis
from tests.exchange_room import EPOCHS, HARBOR, identified, ssn, touch_of


@pytest.fixture(params=[EMBEDDED_REDIS, "redis_url", "redis_cluster_url"])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    url = request.param
    client = open_redis(url if url == EMBEDDED_REDIS else request.getfixturevalue(url))
    yield client
    await client.aclose()


@pytest.fixture
def index(redis: Any) -> LookUpIndex:
    return LookUpIndex(redis, Pointers(redis), check_every_s=0)


def admitted(record: str, *values: str, offset: int) -> AdmittedTouch:
    touch = touch_of(record, [ssn(value) for value in values])
    key, value = identified(record), codec.encode(touch)
    assert codec.decode(touch.header, TouchHeader).record_id == key
    message = Message(
        "touches", 0, offset, 77 + offset, key, value, sender_headers(HARBOR, key, value)
    )
    found = admit_touch(message, {HARBOR.key_id: HARBOR}, EPOCHS.accepts_touch)
    assert isinstance(found, AdmittedTouch)
    return found


async def test_each_token_leads_to_its_records_and_no_others(
    redis: Any, index: LookUpIndex
) -> None:
    await Pointers(redis).put([admitted("a", "1", "2", offset=1), admitted("b", "2", offset=2)], {})
    found = await index.holders([ssn(each).value for each in ("1", "2", "3")])
    assert [set(found[ssn(each).value]) for each in ("1", "2", "3")] == [
        {identified("a")},
        {identified("a"), identified("b")},
        set(),
    ]
    assert found[ssn("1").value][identified("a")].offset == 1
    assert await index.holders([]) == {}


async def test_bytes_that_only_look_like_the_token_across_rows_are_not_taken(
    redis: Any, index: LookUpIndex
) -> None:
    token = ssn("1").value
    entry = token[ENTRY_BYTES]
    row = b"\0" * 4 + entry + b"\0" * 12  # the token stands inside a row, beside its place
    await redis.rpush(BUCKET_KEYS[bucket_of(token)], row)
    await Pointers(redis).put([admitted("a", "1", offset=1)], {})
    assert set((await index.holders([token]))[token]) == {identified("a")}


async def test_merging_changes_nothing_that_is_found_and_shortens_the_list(
    redis: Any, index: LookUpIndex
) -> None:
    pointers, token = Pointers(redis), ssn("1").value
    names = [f"r{number}" for number in range(MERGE_FROM + 10)]
    for number, name in enumerate(names):
        await pointers.put([admitted(name, "1", offset=number)], {})
    key = BUCKET_KEYS[bucket_of(token)]
    assert await redis.llen(key) == len(names)
    before = await index.holders([token])
    assert await index.merge() == 1
    assert await redis.llen(key) == 1
    assert await index.holders([token]) == before
    assert set(before[token]) == {identified(name) for name in names}
    assert await index.merge() == 0
    await pointers.put([admitted("later", "1", offset=500)], {})
    assert identified("later") in (await index.holders([token]))[token]


async def test_what_was_put_together_is_not_read_again(redis: Any, index: LookUpIndex) -> None:
    key, row = BUCKET_KEYS[0], b"\0" * ENTRY.itemsize
    for _ in range(MERGE_FROM + 10):
        await redis.rpush(key, row * (CHUNK_BYTES // ENTRY.itemsize))
    assert await index.merge() == 0
    for _ in range(MERGE_FROM + 1):
        await redis.rpush(key, row)
    assert await index.merge() == 1
    assert await index.merge() == 0
    lengths = [len(blob) for blob in await redis.lrange(key, 0, -1)]
    assert lengths == [*[CHUNK_BYTES] * (MERGE_FROM + 10), (MERGE_FROM + 1) * len(row)]


async def test_of_a_token_that_stands_everywhere_the_latest_rows_are_taken(
    redis: Any, index: LookUpIndex
) -> None:
    token = ssn("1").value
    key, entry = BUCKET_KEYS[bucket_of(token)], token[ENTRY_BYTES]
    old = b"".join(entry + number.to_bytes(16, "big") for number in range(MOST_ROWS + 100))
    await redis.rpush(key, old)
    await Pointers(redis).put([admitted("late", "1", offset=1)], {})
    assert set((await index.holders([token]))[token]) == {identified("late")}


async def test_nothing_is_answered_from_less_than_there_was(redis: Any, index: LookUpIndex) -> None:
    await Pointers(redis).put([admitted("a", "1", offset=1)], {})
    await index.holders([ssn("1").value])
    for key in await redis.keys("*"):
        await redis.delete(key)
    with pytest.raises(TailLostError):
        await index.holders([ssn("1").value])
