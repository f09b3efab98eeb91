"""What opens is exactly what the match rule says, and nothing that was changed opens (A.5)."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.packing import LOCK, NO_TOKEN, TOKEN, rows
from schemas.rule import satisfies
from schemas.vocabulary import MATCH_KEY_KINDS, MatchKeyKind, Strength
from silenthit.blinding.opening import Sealed
from silenthit.errors import SealError
from tests.vectors.touches import (
    Case,
    alert_for,
    cases,
    claimed,
    known_tokens,
    opened,
    sealed_case,
    token,
    watch_rows,
    whole,
)

STRONG = [kind for kind, facts in MATCH_KEY_KINDS.items() if facts.strength is Strength.STRONG]
WEAK = [kind for kind, facts in MATCH_KEY_KINDS.items() if facts.strength is Strength.WEAK]
PAIRS = [(a, b) for a, b in product(WEAK, WEAK) if a < b]
DISJOINT = [p for p in PAIRS if not MATCH_KEY_KINDS[p[0]].fields & MATCH_KEY_KINDS[p[1]].fields]
OVERLAPPING = [p for p in PAIRS if p not in DISJOINT] + [(kind, kind) for kind in WEAK]


def names(kinds: object) -> str:
    return getattr(kinds, "name", None) or "-".join(kind.name for kind in kinds)  # type: ignore[attr-defined]


def assert_closed(sealed: Sealed, *tokens: object) -> None:
    with pytest.raises(SealError):
        opened(sealed, tokens)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", STRONG, ids=names)
def test_one_strong_token_opens(kind: MatchKeyKind) -> None:
    own = token(kind)
    case = sealed_case([[own, token(MatchKeyKind.FULL_NAME)], [token(MatchKeyKind.SSN)]])
    found = opened(alert_for(case.touch, [(0, own)]), [own])
    assert found.matched == {0}
    assert (found.card, found.common) == case.contents[:2]
    assert found.subjects == {0: case.contents[2], 1: case.contents[3]}


@pytest.mark.parametrize("kinds", DISJOINT, ids=names)
def test_two_weak_tokens_of_one_subject_and_disjoint_fields_open(
    kinds: tuple[MatchKeyKind, MatchKeyKind],
) -> None:
    own = [token(kind) for kind in kinds]
    case = sealed_case([[token(MatchKeyKind.SSN)], own])
    found = opened(alert_for(case.touch, [(0, own[0]), (0, own[1])]), own)
    assert found.matched == {1}
    assert found.common == case.contents[1]


@pytest.mark.parametrize("kind", WEAK, ids=names)
def test_one_weak_token_does_not_open(kind: MatchKeyKind) -> None:
    own = token(kind)
    others = [token(each) for each in (*WEAK, MatchKeyKind.SSN)]
    case = sealed_case([[own, *others], [own]])
    assert not satisfies(case.touch.tokens, watch_rows([(0, own)]))
    assert_closed(alert_for(case.touch, [(0, own)]), own)
    assert_closed(claimed(case.touch, [own]), own)


@pytest.mark.parametrize("kinds", OVERLAPPING, ids=names)
def test_two_weak_tokens_of_overlapping_fields_do_not_open(
    kinds: tuple[MatchKeyKind, MatchKeyKind],
) -> None:
    own = [token(kind) for kind in kinds]
    case = sealed_case([own])
    assert not satisfies(case.touch.tokens, watch_rows([(0, each) for each in own]))
    assert_closed(claimed(case.touch, own), *own)


@pytest.mark.parametrize("kinds", DISJOINT, ids=names)
def test_two_weak_tokens_of_different_subjects_do_not_open(
    kinds: tuple[MatchKeyKind, MatchKeyKind],
) -> None:
    own = [token(kind) for kind in kinds]
    case = sealed_case([[own[0]], [own[1]]])
    assert not satisfies(case.touch.tokens, watch_rows([(0, each) for each in own]))
    assert_closed(claimed(case.touch, own), *own)


@pytest.mark.parametrize("kinds", DISJOINT, ids=names)
def test_two_weak_tokens_of_different_subjects_of_the_watch_are_no_match(
    kinds: tuple[MatchKeyKind, MatchKeyKind],
) -> None:
    own = [token(kind) for kind in kinds]
    case = sealed_case([own])
    assert not satisfies(case.touch.tokens, watch_rows([(0, own[0]), (1, own[1])]))
    assert_closed(alert_for(case.touch, [(0, own[0]), (1, own[1])]), *own)


@given(cases())
@settings(max_examples=60)
def test_nobody_opens_with_no_token_or_with_somebody_elses(case: Case) -> None:
    assert_closed(whole(case.touch))
    stranger = token(MatchKeyKind.SSN)
    assert_closed(claimed(case.touch, [stranger]), stranger)


@given(cases(), st.data())
@settings(max_examples=80)
def test_the_exchange_opens_nothing_with_all_it_knows(case: Case, data: st.DataObject) -> None:
    """It has the complete touch and every token, and may make up secrets from any of its bytes."""
    guesses = [lambda value: value * 2, lambda _: bytes(32), lambda _: secrets.token_bytes(32)]
    guess = data.draw(st.sampled_from(guesses))
    tokens = [
        replace(each, secret=guess(each.value)) for subject in case.subjects for each in subject
    ]
    assert_closed(whole(case.touch), *tokens)
    assert_closed(claimed(case.touch, tokens), *tokens)


@given(st.data())
@settings(max_examples=400)
def test_what_opens_is_what_the_match_rule_says(data: st.DataObject) -> None:
    case = data.draw(cases())
    owned = data.draw(known_tokens(case))
    matches = satisfies(case.touch.tokens, watch_rows(owned))
    sealed, tokens = alert_for(case.touch, owned), [each for _, each in owned]
    if not matches:
        assert_closed(sealed, *tokens)
        return
    found = opened(sealed, tokens)
    assert found.matched == {match.touch_subject for match in matches}
    reached = case.reached_by(found.matched)
    assert found.card == (case.contents[0] if 0 in reached else None)
    assert found.common == (case.contents[1] if 1 in reached else None)
    assert found.subjects == {
        number - 2: case.contents[number] for number in reached if number >= 2
    }


@given(st.data())
@settings(max_examples=200)
def test_no_claim_opens_a_subject_that_does_not_satisfy_the_match_rule(
    data: st.DataObject,
) -> None:
    """Whatever a partner claims as matched, with all locks and grants at hand."""
    case = data.draw(cases())
    tokens = [each for _, each in data.draw(known_tokens(case))]
    one_person = satisfies(case.touch.tokens, watch_rows([(0, each) for each in tokens]))
    entitled = {match.touch_subject for match in one_person}
    try:
        found = opened(claimed(case.touch, tokens), tokens)
    except SealError:
        return
    assert found.matched <= entitled


@given(cases(most_subjects=2, most_tokens=4), st.data())
@settings(max_examples=150)
def test_any_changed_byte_is_detected(case: Case, data: st.DataObject) -> None:
    owned = [(0, each) for each in {t for tokens in case.subjects for t in tokens}]
    sealed, tokens = alert_for(case.touch, owned), [each for _, each in owned]
    if not sealed.matches:
        return
    column = data.draw(st.sampled_from(["header", "locks", "grants", "parts"]))
    flip = data.draw(st.integers(1, 255))
    if column == "parts":
        number = data.draw(st.integers(0, len(sealed.parts) - 1))
        place = data.draw(st.integers(0, len(sealed.parts[number]) - 1))
        part = flipped(sealed.parts[number], place, flip)
        changed = (*sealed.parts[:number], part, *sealed.parts[number + 1 :])
        assert_closed(replace(sealed, parts=changed), *tokens)
        return
    place = data.draw(st.integers(0, len(getattr(sealed, column)) - 1))
    forged = replace(sealed, **{column: flipped(getattr(sealed, column), place, flip)})
    if column != "locks":
        assert_closed(forged, *tokens)
        return
    try:
        found = opened(forged, tokens)
    except SealError:
        return
    # A lock made to name another row is one lock less: the same is open by the others, or nothing.
    assert found == opened(sealed, tokens)
    assert place % LOCK.itemsize in {3, 4, 5, 6}


def flipped(content: bytes, place: int, by: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= by
    return bytes(changed)


@given(cases(), cases())
@settings(max_examples=60)
def test_columns_of_another_touch_do_not_open(case: Case, other: Case) -> None:
    owned = [(0, each) for each in {t for tokens in case.subjects for t in tokens}]
    sealed, tokens = alert_for(case.touch, owned), [each for _, each in owned]
    if not sealed.matches:
        return
    foreign = whole(other.touch)
    for column in ("locks", "grants", "parts"):
        assert_closed(replace(sealed, **{column: getattr(foreign, column)}), *tokens)


@given(cases())
@settings(max_examples=150)
def test_tokens_come_in_whole_eights_and_every_row_is_sorted_and_of_a_subject(case: Case) -> None:
    table = rows(case.touch.tokens, TOKEN)
    real = sum(map(len, case.subjects))
    assert len(table) % 8 == 0
    assert len(table) - real < 8
    keys = [(int(row["subject"]), row["token"].tobytes()) for row in table]
    assert keys == sorted(keys)
    assert {subject for subject, _ in keys} <= set(range(len(case.subjects)))


@given(cases())
@settings(max_examples=150)
def test_a_dummy_has_the_form_of_a_strong_token_lock_included(case: Case) -> None:
    table, locks = rows(case.touch.tokens, TOKEN), rows(case.touch.locks, LOCK)
    own = Counter(each.value for tokens in case.subjects for each in tokens)
    alone = Counter(int(row["first"]) for row in locks if row["second"] == NO_TOKEN)
    for index, row in enumerate(table):
        strong = MATCH_KEY_KINDS[MatchKeyKind(int(row["kind"]))].strength is Strength.STRONG
        if row["token"].tobytes() not in own:
            assert strong
        assert alone[index] == strong
    assert [int(row["position"]) for row in locks] == list(range(len(locks)))
    assert all(row["subject"] == table[row["first"]]["subject"] for row in locks)
    names_of_rows = [(int(row["first"]), int(row["second"])) for row in locks]
    assert names_of_rows == sorted(names_of_rows)


@given(cases())
@settings(max_examples=100)
def test_parts_come_in_buckets(case: Case) -> None:
    for part in case.touch.parts:
        padded = len(part) - 12 - 16  # nonce and tag of AES-GCM
        assert padded >= 256
        assert padded & (padded - 1) == 0
