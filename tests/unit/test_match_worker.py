from __future__ import annotations

import pytest

from schemas import codec
from schemas.messages import AlertStatus, Sent, SentEntry, registration_key
from schemas.packing import LOCK, rows
from schemas.vocabulary import CoarseKind, MatchKeyKind
from silenthit.blinding.epochs import Epochs, EpochState
from tests.exchange_room import HARBOR, Room, identified, ssn, token, touch_of


@pytest.fixture
def room() -> Room:
    return Room()


async def watched(room: Room, number: str, *subjects: list, **more: object) -> None:
    await room.worker.take_watches([room.registration(number, *subjects, **more)])


async def test_a_watch_and_a_touch_that_share_a_strong_token_raise_one_alert(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    await room.touched("r", [ssn("1")])
    await room.touched("s", [ssn("2")])
    (alert,) = room.alerts()
    assert alert.record_id == identified("r")
    assert (alert.revision, alert.status, alert.earlier) == (1, AlertStatus.ACTIVE, False)


async def test_the_same_touch_again_gives_the_same_alert_id(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    await room.touched("r", [ssn("1")])
    await room.touched("r", [ssn("1")])
    assert len({alert.alert_id for alert in room.alerts()}) == 1


async def test_only_the_locks_that_the_matched_tokens_open_travel(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    other = [token(MatchKeyKind.PHONE, str(n)) for n in range(6)]
    await room.touched("r", [ssn("1"), *other], [ssn("2")])
    (alert,) = room.alerts()
    assert len(rows(alert.locks, LOCK)) == 1


async def test_who_is_told_is_written_down_before_they_are_told(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    await room.touched("r", [ssn("1")])
    assert [message.topic for message in room.written] == ["sent", "alerts.fbi"]


async def test_a_higher_revision_that_no_longer_matches_withdraws(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    await room.touched("r", [ssn("1")])
    await room.touched("r", [ssn("2")], revision=2)
    assert [(a.revision, a.status) for a in room.alerts()] == [
        (1, AlertStatus.ACTIVE),
        (2, AlertStatus.WITHDRAWN),
    ]
    assert not room.alerts()[-1].parts


async def test_a_lower_revision_that_comes_late_is_dropped(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    await room.touched("r", [ssn("2")], revision=2)
    await room.touched("r", [ssn("1")], revision=1)
    assert room.alerts() == []
    assert room.worker.tally.stale == 1


async def test_two_revisions_in_one_batch_are_taken_in_their_order(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    first, second = touch_of("r", [ssn("1")]), touch_of("r", [ssn("2")], revision=2)
    later = room.message(second, "r")
    later = later._replace(timestamp_ms=later.timestamp_ms + 2_000)
    await room.worker.take_touches([room.message(first, "r"), later])
    assert [a.status for a in room.alerts()] == [AlertStatus.ACTIVE, AlertStatus.WITHDRAWN]


async def test_a_revision_that_the_same_batch_overtakes_within_a_second_is_not_told(
    room: Room,
) -> None:
    await watched(room, "w", [ssn("1")])
    first, second = touch_of("r", [ssn("1")]), touch_of("r", [ssn("2")], revision=2)
    await room.worker.take_touches([room.message(first, "r"), room.message(second, "r")])
    assert room.alerts() == []
    assert (room.worker.tally.stale, room.worker.tally.touches) == (1, 1)
    assert (await room.worker.pointers.latest([identified("r")]))[identified("r")].revision == 2


async def test_a_record_sent_a_thousand_times_costs_one_turn(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    flood = [touch_of("r", [ssn("1")], revision=number) for number in range(1, 1_001)]
    other = touch_of("s", [ssn("1")])
    several = [(each, "r") for each in flood] + [(other, "s")]
    await room.worker.take_touches([room.message(touch, name) for touch, name in several])
    assert {(a.record_id, a.revision) for a in room.alerts()} == {
        (identified("r"), 1_000),
        (identified("s"), 1),
    }
    assert room.sends == 2  # who is told, and the alerts


async def test_a_retraction_reaches_those_alerted_and_leaves_no_pointer(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    await room.touched("r", [ssn("1")])
    await room.worker.take_touches([room.message(None, "r", revision=2)])
    assert [a.status for a in room.alerts()] == [AlertStatus.ACTIVE, AlertStatus.RETRACTED]
    (left,) = (await room.worker.pointers.latest([identified("r")])).values()
    assert left.retracted
    assert left.prefixes == b""
    assert await room.worker.pointers.holders([ssn("1").value]) == set()


async def test_a_correction_after_the_watch_ended_is_no_withdrawal(room: Room) -> None:
    await watched(room, "w", [ssn("1")], expires_at=1_000_003)
    await room.touched("r", [ssn("1")])
    await room.touched("r", [ssn("2")], revision=2)
    assert [alert.status for alert in room.alerts()] == [AlertStatus.ACTIVE]


async def test_a_watch_added_and_removed_in_one_batch_is_not_new(room: Room) -> None:
    there = room.registration("w", [ssn("1")])
    gone = room.raw("watches.fbi", registration_key(identified("w"), 1), None)
    assert await room.worker.take_watches([there, there, gone]) == []
    assert len(await room.worker.take_watches([there, there])) == 1


async def test_another_partners_tombstone_removes_nothing(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    await room.worker.take_watches(
        [room.raw("watches.hsi", registration_key(identified("w"), 1), None)]
    )
    await room.touched("r", [ssn("1")])
    assert len(room.alerts()) == 1


async def test_a_watch_of_an_epoch_not_known_yet_is_taken_when_it_is(room: Room) -> None:
    states = {1: EpochState.CURRENT}
    room.worker.epochs = Epochs(states)
    message = room.registration("w", [ssn("1")], epoch=2)
    await room.worker.take_watches([message])
    assert room.reasons() == ["unknown_epoch"]
    assert room.worker.early.due() == []
    states[2] = EpochState.PREPARED
    due = room.worker.early.due()
    assert due == [message]
    assert len(await room.worker.take_watches(due)) == 1
    assert room.worker.early.due() == []


async def test_of_one_revision_nobody_named_is_forgotten(room: Room) -> None:
    def sent(partner: str, *, retracted: bool) -> Sent:
        entry = SentEntry(partner=partner, registration_id=identified(partner))
        return Sent(
            record_id=identified("r"), revision=1, sender="x", alerted=(entry,), retracted=retracted
        )

    room.worker.sent.put(sent("fbi", retracted=True))
    room.worker.sent.put(sent("hsi", retracted=False))
    found = room.worker.sent.get(identified("r"))
    assert found is not None
    assert {entry.partner for entry in found.alerted} == {"fbi", "hsi"}
    assert found.retracted


async def test_a_touch_whose_month_was_over_when_it_came_is_quarantined(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    for record, month in (("r", "1969-12"), ("s", "2031-13")):
        touch = touch_of(record, [ssn("1")], expiry_month=month)
        await room.worker.take_touches([room.message(touch, record)])
    assert room.alerts() == []
    assert room.reasons() == ["expired", "malformed"]


async def test_a_registration_that_had_expired_when_it_came_removes_the_one_before(
    room: Room,
) -> None:
    await watched(room, "w", [ssn("1")])
    late = room.registration("w", [ssn("1")], expires_at=1_000)
    assert await room.worker.take_watches([late]) == []
    await room.touched("r", [ssn("1")])
    assert room.alerts() == []


async def test_a_removed_watch_raises_no_more_alerts(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    await room.worker.take_watches(
        [room.raw("watches.fbi", registration_key(identified("w"), 1), None)]
    )
    await room.touched("r", [ssn("1")])
    assert room.alerts() == []


async def test_an_expired_watch_and_an_unwanted_kind_raise_none(room: Room) -> None:
    await watched(room, "gone", [ssn("1")], expires_at=1)
    await watched(room, "custody", [ssn("1")], kinds=(CoarseKind.CUSTODY,))
    await room.touched("r", [ssn("1")])
    assert room.alerts() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"partner": "hsi"}, "wrong_partner"),
        ({"epoch": 1 << 20}, "wrong_key"),
        ({"tokens": b"short"}, "malformed"),
        ({"tokens": b""}, "malformed"),
        ({"registration_id": b"i" * 16}, "wrong_key"),
    ],
)
async def test_a_registration_that_is_not_in_order_is_quarantined(
    room: Room, change: dict, reason: str
) -> None:
    message = room.registration("w", [ssn("1")], **change)
    stands = room.raw("watches.fbi", registration_key(identified("w"), 1), message.value)
    await room.worker.take_watches([stands])
    assert room.reasons() == [reason]
    assert len(room.worker.index) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda t: codec.encode(t.model_copy(update={"parts": (t.parts[0][:-1], *t.parts[1:])})),
            "truncated_part",
        ),
        (lambda t: codec.encode(t.model_copy(update={"tokens": t.tokens[:-1]})), "malformed"),
        (lambda t: codec.encode(t.model_copy(update={"locks": b"\xff" * 47})), "malformed"),
        (lambda t: codec.encode(t)[:-3], "undecodable"),
        (lambda t: b"\xc3\x01" + bytes(8) + codec.encode(t)[10:], "unknown_schema"),
        (lambda t: b"noise", "undecodable"),
        (lambda t: codec.encode(touch_of("r", [ssn("1")], epoch=7)), "unknown_epoch"),
        (lambda t: codec.encode(touch_of("other", [ssn("1")])), "wrong_key"),
    ],
)
async def test_a_touch_that_is_not_in_order_is_quarantined_and_the_next_goes_on(
    room: Room, change: object, reason: str
) -> None:
    from silenthit.bus.sender import sender_headers

    await watched(room, "w", [ssn("1")])
    value = change(touch_of("r", [ssn("1")]))  # type: ignore[operator]
    bad = room.raw(
        "touches", identified("r"), value, sender_headers(HARBOR, identified("r"), value)
    )
    good = room.message(touch_of("s", [ssn("1")]), "s")
    await room.worker.take_touches([bad, good])
    assert room.reasons() == [reason]
    assert [alert.record_id for alert in room.alerts()] == [identified("s")]


async def test_sent_names_everybody_who_holds_any_revision(room: Room) -> None:
    await watched(room, "w", [ssn("1")])
    await watched(room, "v", [ssn("2")], partner="hsi")
    await room.touched("r", [ssn("1")])
    await room.touched("r", [ssn("2")], revision=2)
    values = [m.value for m in room.written if m.topic == "sent" and m.value]
    last = codec.decode(values[-1], Sent)
    assert {entry.partner for entry in last.alerted} == {"fbi", "hsi"}
    await room.worker.take_touches([room.message(None, "r", revision=3)])
    assert room.alerts("fbi")[-1].status is AlertStatus.RETRACTED
    assert room.alerts("hsi")[-1].status is AlertStatus.RETRACTED
