"""Quotas: nobody gets more than agreed, nobody within it is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from key_holder.database import open_book, transaction
from key_holder.quotas import DAY_S, book_backfill, charge, charge_booking, refuse_replay
from key_holder.settings import ClassQuotas, Quota
from schemas.vocabulary import TokenClass
from silenthit.blinding.batches import Cause, new_batch_id

NOON = 20_000 * DAY_S + DAY_S / 2
PERSON, ITEM = TokenClass.PERSON, TokenClass.ITEM


@pytest.fixture
def book(tmp_path: Path) -> sqlite3.Connection:
    return open_book(tmp_path / "book.db")


def quotas(per_minute: int, per_day: int = 10**9, burst: int = 0) -> ClassQuotas:
    each = Quota(per_minute=per_minute, per_day=per_day, burst=burst)
    return ClassQuotas(person=each, item=each, place_time=each)


questions = st.lists(
    st.tuples(st.floats(0, 90), st.integers(1, 30)), min_size=1, max_size=60
)  # seconds since the one before, elements


@given(questions, st.integers(1, 120), st.integers(30, 200))
def test_in_no_interval_more_than_burst_and_refill(
    questions: list[tuple[float, int]], per_minute: int, burst: int
) -> None:
    book, agreed = _memory(), quotas(per_minute, burst=burst)
    now, granted = NOON, []
    for wait, count in questions:
        now += wait
        if charge(book, "A", agreed, {PERSON: count}, now) is None:
            granted.append((now, count))
    for start in range(len(granted)):
        total = 0
        for at, count in granted[start:]:
            total += count
            assert total <= burst + (at - granted[start][0]) * per_minute / 60 + 1e-3


@given(questions, st.integers(1, 120), st.integers(30, 200))
def test_who_comes_back_when_told_is_served(
    questions: list[tuple[float, int]], per_minute: int, burst: int
) -> None:
    book, agreed, now = _memory(), quotas(per_minute, burst=burst), NOON
    for wait, count in questions:
        now += wait
        refusal = charge(book, "A", agreed, {PERSON: count}, now)
        if refusal is not None:
            assert refusal.cause is Cause.QUOTA
            assert refusal.after_s is not None
            now += refusal.after_s
            assert charge(book, "A", agreed, {PERSON: count}, now) is None


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(30, 300))
def test_a_day_has_its_own_limit(counts: list[int], per_day: int) -> None:
    book, agreed, spent = _memory(), quotas(10_000, per_day=per_day), 0
    for count in counts:
        refusal = charge(book, "A", agreed, {PERSON: count}, NOON)
        assert (refusal is None) == (spent + count <= per_day)
        spent += count if refusal is None else 0
        if refusal is not None:
            assert refusal.after_s == pytest.approx(DAY_S / 2)
    assert charge(book, "A", agreed, {PERSON: 30}, NOON + DAY_S / 2) is None


def _memory() -> sqlite3.Connection:
    return open_book(None)


def test_a_batch_is_charged_whole_or_not_at_all(book: sqlite3.Connection) -> None:
    agreed = ClassQuotas(
        person=Quota(per_minute=10, per_day=100), item=Quota(per_minute=2, per_day=100)
    )
    assert charge(book, "A", agreed, {PERSON: 5, ITEM: 2}, NOON) is None
    assert charge(book, "A", agreed, {PERSON: 5, ITEM: 1}, NOON) is not None
    assert charge(book, "A", agreed, {PERSON: 5}, NOON) is None


def test_organisations_do_not_share(book: sqlite3.Connection) -> None:
    assert charge(book, "A", quotas(10), {PERSON: 10}, NOON) is None
    assert charge(book, "B", quotas(10), {PERSON: 10}, NOON) is None


def test_a_batch_above_the_burst_is_told_how_much_fits(book: sqlite3.Connection) -> None:
    refusal = charge(book, "A", quotas(10), {PERSON: 11}, NOON)
    assert refusal is not None
    assert (refusal.cause, refusal.most) == (Cause.TOO_LARGE, 10)


def test_a_clock_set_back_gives_nothing(book: sqlite3.Connection) -> None:
    assert charge(book, "A", quotas(10), {PERSON: 10}, NOON) is None
    assert charge(book, "A", quotas(10), {PERSON: 1}, NOON - 3600) is not None
    assert charge(book, "A", quotas(10), {PERSON: 1}, NOON + 1) is not None


def test_quotas_outlive_a_restart(tmp_path: Path) -> None:
    first = open_book(tmp_path / "book.db")
    with transaction(first):
        assert charge(first, "A", quotas(10), {PERSON: 10}, NOON) is None
    first.close()
    assert charge(open_book(tmp_path / "book.db"), "A", quotas(10), {PERSON: 1}, NOON) is not None


def test_a_booking_is_apart_from_live_traffic(book: sqlite3.Connection) -> None:
    live = quotas(10)
    book_backfill(book, "A", elements=50, per_minute=20, until=NOON + 3600)
    assert charge(book, "A", live, {PERSON: 10}, NOON) is None
    assert charge_booking(book, "A", {PERSON: 20}, NOON) is None
    slow = charge_booking(book, "A", {PERSON: 20}, NOON)
    assert slow is not None
    assert slow.cause is Cause.QUOTA
    assert slow.after_s == pytest.approx(60)
    assert charge_booking(book, "A", {PERSON: 20}, NOON + 60) is None
    assert charge(book, "A", live, {PERSON: 1}, NOON) is not None
    spent = charge_booking(book, "A", {PERSON: 20}, NOON + 120)
    assert spent is not None
    assert spent.cause is Cause.NO_BOOKING


def test_a_booking_ends(book: sqlite3.Connection) -> None:
    book_backfill(book, "A", elements=50, per_minute=20, until=NOON)
    refusal = charge_booking(book, "A", {PERSON: 1}, NOON + 1)
    assert refusal is not None
    assert refusal.cause is Cause.NO_BOOKING


def test_a_replayed_batch_is_refused(book: sqlite3.Connection) -> None:
    batch_id = new_batch_id(int(NOON * 1000))
    assert refuse_replay(book, batch_id, NOON) is None
    replayed = refuse_replay(book, batch_id, NOON + 299)
    assert replayed is not None
    assert replayed.cause is Cause.REPLAYED
    late = refuse_replay(book, batch_id, NOON + 301)
    assert late is not None
    assert late.cause is Cause.STALE
