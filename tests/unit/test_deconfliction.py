"""Deconfliction at the exchange: what is written to whom, and when nothing is."""

from __future__ import annotations

from dataclasses import replace

from schemas.deconfliction import Told
from schemas.messages import registration_key
from schemas.packing import CARD_KEY, rows
from schemas.topics import DAY_MS
from stream_processors.deconfliction import Deconfliction
from stream_processors.deconfliction_settings import DeconflictionSettings
from tests.properties.test_deconfliction import Entry, put, told_now

NOW = 50 * DAY_MS


def entry(number: int, *, value: int = 0, card: int = 0, willing: bool = True) -> Entry:
    return Entry(number, frozenset({(0, 0, value), (1, 1, value)}), willing, 0, NOW * 2, card)


def process(per_day: int = 20, settles_s: int = 0) -> Deconfliction:
    return Deconfliction(DeconflictionSettings(settles_s=settles_s, per_day=per_day))


def test_both_are_told_in_one_step_each_the_others_card_and_its_own_keys() -> None:
    state = process()
    put(state, entry(0), NOW)
    assert not list(state.due(NOW))
    put(state, entry(1), NOW)
    (found,) = state.due(NOW)
    assert {partner for partner, _ in found.messages} == {"fbi", "hsi"}
    for partner, message in found.messages:
        own, other = (0, 1) if partner == "fbi" else (1, 0)
        assert message.registration_id == bytes([own]) * 16
        assert set(message.card) == {other}
        kept = [row for row in rows(message.keys, CARD_KEY) if row["wrapped"].tobytes()[0] == other]
        assert [row["position"] for row in kept[:2]] == [0, 1], "one key a subject in common"


def test_one_partners_own_two_watches_never_meet() -> None:
    state = process()
    put(state, entry(0), NOW)
    put(state, entry(3), NOW)
    assert not list(state.due(NOW))


def test_weak_tokens_that_two_subjects_share_between_them_are_no_match() -> None:
    state = process()
    ours = Entry(0, frozenset({(0, 2, 0), (1, 4, 0)}), willing=True, counts_from=0,
                 expires_at=NOW * 2, card=0)  # fmt: skip
    put(state, ours, NOW)
    put(state, replace(ours, number=1, held=frozenset({(0, 2, 0), (0, 4, 0)})), NOW)
    assert not list(state.due(NOW))


def test_who_says_yes_later_is_told_then_and_so_is_the_other() -> None:
    state = process()
    put(state, entry(0), NOW)
    put(state, entry(1, willing=False), NOW)
    assert not told_now(state, NOW)
    put(state, entry(1), NOW)
    assert len(told_now(state, NOW)) == 1


def test_who_takes_it_back_before_is_never_told_of_and_after_is_not_untold() -> None:
    state = process(settles_s=60)
    put(state, entry(0), NOW)
    put(state, entry(1), NOW)
    put(state, entry(1, willing=False), NOW)
    assert not told_now(state, NOW + 60_000)
    put(state, entry(1), NOW)
    assert len(told_now(state, NOW + 60_000)) == 1
    put(state, entry(1, willing=False), NOW)
    put(state, entry(1), NOW)
    assert not told_now(state, NOW + 60_000)


def test_of_a_card_that_changed_only_its_reader_is_told_and_a_day_counts_it_once() -> None:
    state = process(per_day=1)
    put(state, entry(0), NOW)
    put(state, entry(1), NOW)
    told_now(state, NOW)
    put(state, entry(1, card=1), NOW)
    (found,) = state.due(NOW)
    assert [partner for partner, _ in found.messages] == ["fbi"]
    state.remember(found.told.meeting_id, found.told)
    assert state.meetings_on(NOW) == {"fbi": 1, "hsi": 1}


def test_other_tokens_begin_the_wait_anew_whatever_their_partner_says() -> None:
    state = process(settles_s=60)
    put(state, entry(0), NOW)
    put(state, entry(1, value=1), NOW)
    put(state, entry(1), NOW + 59_000)
    assert not told_now(state, NOW + 118_000)
    assert len(told_now(state, NOW + 119_000)) == 1


def test_beyond_a_days_limit_neither_is_told_until_both_have_room() -> None:
    state = process(per_day=1)
    for number in (0, 1, 4):
        put(state, entry(number), NOW)  # fbi would meet two watches of hsi
    assert len(told_now(state, NOW)) == 1
    assert len(state.held) == 1
    assert not told_now(state, NOW + DAY_MS - 1)
    assert len(told_now(state, NOW + DAY_MS)) == 1
    assert not state.held


def test_who_has_room_is_not_told_of_who_has_none() -> None:
    state = process(per_day=1)
    for number in (0, 1, 2):  # of three partners, each of whom would meet two
        put(state, entry(number), NOW)
    assert len(told_now(state, NOW)) == 1
    assert max(state.meetings_on(NOW).values()) == 1


def test_a_watch_that_expired_before_is_told_to_nobody() -> None:
    state = process(settles_s=60)
    put(state, entry(0), NOW)
    put(state, replace(entry(1), expires_at=NOW + 60_000), NOW)
    assert not told_now(state, NOW + 60_000)
    put(state, replace(entry(1), expires_at=NOW + 60_001), NOW)
    assert len(told_now(state, NOW + 60_000)) == 1


def test_what_was_told_of_watches_that_are_gone_is_forgotten_the_day_after() -> None:
    state = process()
    put(state, entry(0), NOW)
    put(state, entry(1), NOW)
    (told,) = told_now(state, NOW)
    assert isinstance(told, Told)
    assert state.forget(registration_key(bytes([1]) * 16, 1))
    assert state.over(NOW) == []
    assert state.over(NOW + DAY_MS) == [told.meeting_id]
