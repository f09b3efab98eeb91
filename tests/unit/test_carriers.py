from __future__ import annotations

import pytest

from schemas.packing import MATCH, UNCOUNTED, rows
from schemas.vocabulary import MatchKeyKind
from stream_processors.carriers import MOST_COUNTED, power_of_two
from tests.exchange_room import Room, ssn, token

PHONE = MatchKeyKind.PHONE


async def watched(room: Room, number: str, *tokens: object) -> None:
    await room.worker.take_watches([room.registration(number, list(tokens))])


async def test_an_alert_tells_the_power_of_two_of_how_many_records_hold_its_phone() -> None:
    room = Room()
    for n in range(6):
        await room.touched(f"r{n}", [token(PHONE, "shelter")])
    await watched(room, "w", token(PHONE, "shelter"))
    await room.touched("r6", [token(PHONE, "shelter")])
    (alert,) = room.alerts()
    assert alert.carriers == bytes([2])  # 4 to 7
    await room.touched("r7", [token(PHONE, "shelter")])
    assert room.alerts()[-1].carriers == bytes([3])


async def test_the_same_record_again_counts_once_and_a_retracted_one_no_more() -> None:
    room = Room()
    await watched(room, "w", token(PHONE, "own"))
    await room.touched("r", [token(PHONE, "own")])
    await room.touched("r", [token(PHONE, "own")], revision=2)
    assert [alert.carriers for alert in room.alerts()] == [bytes([0]), bytes([0])]
    await room.touched("s", [token(PHONE, "own")])
    await room.worker.take_touches([room.message(None, "r", revision=3)])
    await room.touched("t", [token(PHONE, "own")])
    assert room.alerts()[-1].carriers == bytes([1])


async def test_a_corrected_record_that_holds_it_no_longer_is_not_counted() -> None:
    room = Room()
    await room.touched("r", [token(PHONE, "own")])
    await room.touched("r", [token(PHONE, "another")], revision=2)
    await watched(room, "w", token(PHONE, "own"))
    await room.touched("s", [token(PHONE, "own")])
    assert room.alerts()[-1].carriers == bytes([0])


async def test_what_stands_for_a_person_is_not_counted() -> None:
    room = Room()
    await watched(room, "w", ssn("1"), token(PHONE, "own"))
    await room.touched("r", [ssn("1")])
    assert room.alerts()[0].carriers == b""
    await room.touched("s", [ssn("1"), token(PHONE, "own")])
    alert = room.alerts()[-1]
    by_kind = dict(zip(rows(alert.matches, MATCH)["kind"].tolist(), alert.carriers, strict=True))
    assert by_kind == {MatchKeyKind.SSN: UNCOUNTED, PHONE: 0}


async def test_a_touch_that_satisfies_no_watch_costs_no_counting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = Room()
    await watched(room, "w", token(PHONE, "own"))

    async def never(*_: object) -> None:
        raise AssertionError("counted for nobody")

    monkeypatch.setattr(room.worker.pointers, "blobs", never)
    await room.touched("r", [token(PHONE, "another")])
    assert room.alerts() == []


@pytest.mark.parametrize(
    ("count", "told"), [(0, UNCOUNTED), (1, 0), (2, 1), (3, 1), (4, 2), (MOST_COUNTED * 9, 12)]
)
def test_a_number_is_told_as_its_power_of_two_up_to_a_ceiling(count: int, told: int) -> None:
    assert power_of_two(count) == told
