"""Conflicts of operations at the exchange: told, updated, withdrawn, limited, and how it looks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from schemas import codec
from schemas.operations import ConflictStatus, PlannedOperation
from schemas.packing import TOKEN, pack
from schemas.topics import OPERATIONS
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey, sender_headers
from stream_processors.admission import Reason, Refused
from stream_processors.conflict_admission import MOST_TOKENS, Ended, Planned, admit_operation
from stream_processors.conflict_book import BOOK, Book
from stream_processors.conflict_settings import ConflictSettings
from tests.properties.test_conflicts import AGENCIES, DAY, Exchange, Plan

HERE, THERE = frozenset({1}), frozenset({2})
ONE = Plan(number=0, happens=HERE, asks=HERE)
OTHER = Plan(number=1, happens=HERE, asks=HERE)


def told(exchange: Exchange) -> list[tuple[str, ConflictStatus]]:
    return sorted((who, body.status) for (who, _), body in exchange.told.items())


ACTIVE = [(AGENCIES[0], ConflictStatus.ACTIVE), (AGENCIES[1], ConflictStatus.ACTIVE)]
GONE = [(AGENCIES[0], ConflictStatus.WITHDRAWN), (AGENCIES[1], ConflictStatus.WITHDRAWN)]


def test_both_are_told_at_once_in_messages_of_one_size():
    exchange = Exchange()
    assert exchange.put(ONE) == []
    [telling] = exchange.put(OTHER)
    assert telling.what == "told"
    assert told(exchange) == ACTIVE
    [gone] = exchange.put(replace(OTHER, happens=THERE, asks=THERE, revision=2))
    sizes = {len(codec.encode(m)) for each in (telling, gone) for _, m in each.messages}
    assert len(sizes) == 1


@pytest.mark.parametrize("other", [replace(OTHER, asks=THERE), replace(OTHER, happens=THERE)])
def test_nobody_is_told_of_what_only_one_of_the_two_would_find(other):
    exchange = Exchange()
    exchange.put(ONE)
    assert exchange.put(other) == []


def test_two_operations_of_one_agency_are_its_own_matter():
    exchange = Exchange()
    exchange.put(ONE)
    assert exchange.put(replace(ONE, number=3)) == []


def test_a_move_away_withdraws_and_a_move_back_tells_again():
    exchange = Exchange()
    exchange.put(ONE)
    exchange.put(OTHER)
    [gone] = exchange.put(replace(OTHER, happens=THERE, asks=THERE, revision=2))
    assert (gone.what, told(exchange)) == ("withdrawn", GONE)
    [back] = exchange.put(replace(OTHER, revision=3))
    assert (back.what, back.note.times, told(exchange)) == ("told", 2, ACTIVE)


def test_a_change_that_stays_in_the_way_is_an_update():
    exchange = Exchange()
    exchange.put(ONE)
    exchange.put(OTHER)
    [telling] = exchange.put(replace(OTHER, revision=2))
    assert (telling.what, telling.note.times) == ("updated", 1)
    assert {body.revision for body in exchange.told.values()} == {1, 2}


def test_a_cancellation_is_told_to_the_other_side():
    exchange = Exchange()
    exchange.put(ONE)
    exchange.put(OTHER)
    [gone] = exchange.end(OTHER)
    assert [who for who, _ in gone.messages] == [ONE.organisation]
    assert exchange.end(ONE) == []


def test_a_cancellation_of_an_earlier_revision_does_nothing():
    exchange = Exchange()
    exchange.put(ONE)
    exchange.put(replace(OTHER, revision=2))
    assert exchange.end(OTHER) == []
    assert told(exchange) == ACTIVE


def test_what_is_over_is_withdrawn_by_the_clock():
    exchange = Exchange()
    exchange.put(ONE)
    exchange.put(replace(OTHER, expires_at=2 * DAY))
    exchange.now = 2 * DAY
    [gone] = exchange.tell()
    assert [who for who, _ in gone.messages] == [ONE.organisation]


def test_while_one_is_in_another_epoch_what_was_told_stays():
    exchange = Exchange()
    exchange.put(ONE)
    exchange.put(OTHER)
    assert exchange.put(replace(ONE, epoch=2)) == []
    assert exchange.put(replace(OTHER, epoch=2)) == []
    assert told(exchange) == ACTIVE


def test_of_more_than_a_day_allows_the_last_ones_wait_for_the_next_day():
    exchange = Exchange(ConflictSettings(per_day=2))
    exchange.put(ONE)
    for number in (3, 6):
        exchange.put(Plan(number=number, happens=THERE, asks=THERE))
    late = Plan(number=9, happens=frozenset({3}), asks=frozenset({3}))
    exchange.put(late)
    met = Plan(number=10, happens=frozenset({3}), asks=frozenset({3}))
    assert exchange.put(met) == []
    exchange.restart()
    assert exchange.tell() == [], "not by a restart, either"
    exchange.now = DAY
    assert [each.what for each in exchange.tell()] == ["told"]


def test_an_operation_that_changes_without_end_is_not_taken_any_more():
    exchange = Exchange(ConflictSettings(revisions=3))
    exchange.put(ONE)
    assert exchange.put(replace(OTHER, revision=4)) == []


def test_nobody_speaks_for_a_record_of_another_agency():
    exchange = Exchange()
    exchange.put(ONE)
    exchange.put(OTHER)
    stolen = replace(replace(ONE, number=2).planned(), record_id=OTHER.record_id)
    assert exchange.state.see(stolen, 1) is None
    assert not exchange.state.take(stolen)
    exchange.state.end(Ended(stolen.organisation, stolen.record_id, 9))
    assert exchange.tell() == []


def test_probing_by_ever_new_operations_is_counted_for_both_and_written_down(tmp_path):
    limits = ConflictSettings(probes=3)
    exchange, book = Exchange(limits), Book(tmp_path, limits)
    exchange.put(ONE)
    for number in range(1, 16, 3):
        probe = replace(OTHER, number=number)
        [telling] = exchange.put(probe)
        book.told(telling, exchange.state, exchange.now)
        exchange.end(probe)
    assert telling.probes == 5
    [_, _] = telling.messages
    lines = [json.loads(line) for line in (tmp_path / BOOK).read_text().splitlines()]
    assert [line["probes"] for line in lines if line["what"] == "told"] == [1, 2, 3, 4, 5]
    assert sum(line["what"] == "probing" for line in lines) == 2
    exchange.restart()
    [again] = exchange.put(replace(OTHER, number=16))
    assert again.probes == 6, "a restart forgets none of it"


def test_coming_and_going_with_one_operation_is_probing_too():
    exchange = Exchange()
    exchange.put(ONE)
    for revision in range(1, 8, 2):
        [telling] = exchange.put(replace(OTHER, revision=revision))
        exchange.put(replace(OTHER, revision=revision + 1, happens=THERE, asks=THERE))
    assert telling.probes == 4


def test_what_is_long_over_is_forgotten_and_not_before():
    exchange = Exchange()
    exchange.put(ONE)
    exchange.put(OTHER)
    exchange.end(ONE)
    exchange.end(OTHER)
    assert exchange.state.over(exchange.now + DAY) == []
    assert len(exchange.state.over(exchange.now + 4 * DAY)) == 3


KEYS = {"CT0009900#1": SenderKey("CT0009900#1", b"c" * 32)}


def message(plan: Plan, **changed: object) -> Message:
    made = plan.planned()
    fields = {
        "record_id": made.record_id,
        "revision": made.revision,
        "expires_at": made.expires_at,
        "touch": codec.encode(made.touch),
        "asks": made.asks,
        "reply_key": made.reply_key,
        **changed,
    }
    value = codec.encode(PlannedOperation.model_validate(fields))
    headers = sender_headers(KEYS["CT0009900#1"], made.record_id, value)
    return Message(OPERATIONS.of("ct0009900"), 0, 0, 1, made.record_id, value, headers)


def test_an_operation_in_order_is_taken():
    found = admit_operation(message(ONE), KEYS, lambda _: True)
    assert isinstance(found, Planned)
    assert found == ONE.planned()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"record_id": b"x" * 16}, Reason.WRONG_KEY),
        ({"revision": 2}, Reason.MALFORMED),
        ({"asks": b""}, Reason.MALFORMED),
        ({"asks": b"1"}, Reason.MALFORMED),
        ({"asks": pack([(0, 1, bytes(16))] * (MOST_TOKENS + 1), TOKEN)}, Reason.MALFORMED),
        ({"reply_key": bytes(32)}, Reason.MALFORMED),
        ({"touch": b"1"}, Reason.UNDECODABLE),
    ],
)
def test_an_operation_out_of_order_is_refused(changed, reason):
    found = admit_operation(message(ONE, **changed), KEYS, lambda _: True)
    assert isinstance(found, Refused)
    assert found.reason is reason


def test_another_agencys_topic_key_or_epoch_is_refused():
    good = message(ONE)
    for bad in (
        good._replace(topic=OPERATIONS.of("ma0130100")),
        good._replace(headers=()),
    ):
        found = admit_operation(bad, KEYS, lambda _: True)
        assert isinstance(found, Refused)
        assert found.reason is Reason.FORGED_SENDER
    refused = admit_operation(good, KEYS, lambda epoch: epoch != 1)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.UNKNOWN_EPOCH


def test_a_cancellation_needs_its_proof():
    headers = sender_headers(KEYS["CT0009900#1"], ONE.record_id, None, 2)
    gone = Message(OPERATIONS.of("ct0009900"), 0, 0, 1, ONE.record_id, None, headers)
    assert admit_operation(gone, KEYS, lambda _: True) == Ended("ct0009900", ONE.record_id, 2)
    assert isinstance(admit_operation(gone._replace(headers=()), KEYS, lambda _: True), Refused)
