"""The match rule, case by case."""

from __future__ import annotations

from itertools import product

import pytest

from schemas.packing import TOKEN, pack
from schemas.rule import Match, counting, satisfies
from schemas.vocabulary import MATCH_KEY_KINDS, MatchKeyKind, admissible_pair, is_strong

SSN, PHONE = MatchKeyKind.SSN, MatchKeyKind.PHONE
NAME, ADDRESS = MatchKeyKind.FULL_NAME, MatchKeyKind.ADDRESS
UNKNOWN = sorted(set(range(256)) - set(MatchKeyKind))

Row = tuple[int, int, str]  # subject, kind, letter that stands for the token


def packed(*table: Row) -> bytes:
    return pack([(subject, kind, letter.encode() * 16) for subject, kind, letter in table], TOKEN)


def rows_matched(touch: bytes, watch: bytes) -> list[tuple[int, int, int]]:
    return [(m.row, m.touch_subject, m.watch_subject) for m in satisfies(touch, watch)]


def test_one_strong_token_in_common_is_enough() -> None:
    touch, watch = packed((0, NAME, "a"), (1, SSN, "b")), packed((5, SSN, "b"))
    assert rows_matched(touch, watch) == [(1, 1, 5)]


def test_the_same_token_of_another_kind_is_nothing_in_common() -> None:
    assert not satisfies(packed((0, SSN, "a")), packed((0, PHONE, "a")))


def test_two_weak_tokens_of_one_subject_on_both_sides_count() -> None:
    touch = packed((2, NAME, "a"), (2, ADDRESS, "b"))
    watch = packed((1, ADDRESS, "b"), (1, NAME, "a"))
    assert rows_matched(touch, watch) == [(0, 2, 1), (1, 2, 1)]


@pytest.mark.parametrize(("touch_subject", "watch_subject"), [(0, 1), (1, 0), (1, 1)])
def test_two_weak_tokens_over_different_subjects_do_not_count(
    touch_subject: int, watch_subject: int
) -> None:
    touch = packed((0, NAME, "a"), (touch_subject, ADDRESS, "b"))
    watch = packed((0, NAME, "a"), (watch_subject, ADDRESS, "b"))
    assert not satisfies(touch, watch)


def test_weak_tokens_of_overlapping_fields_do_not_count() -> None:
    house = MatchKeyKind.HOUSE_POSTCODE
    same = packed((0, ADDRESS, "a"), (0, house, "b"))
    assert not satisfies(same, same)


def test_a_weak_token_without_partner_is_left_out_beside_a_strong_one() -> None:
    same = packed((0, NAME, "a"), (0, SSN, "b"))
    assert rows_matched(same, same) == [(1, 0, 0)]


def test_a_shared_phone_matches_each_of_its_subjects() -> None:
    touch = packed((0, PHONE, "a"), (1, PHONE, "a"))
    assert rows_matched(touch, packed((3, PHONE, "a"))) == [(0, 0, 3), (1, 1, 3)]


def test_nothing_matches_nothing() -> None:
    assert satisfies(b"", b"") == satisfies(packed((0, SSN, "a")), b"") == ()


@pytest.mark.parametrize("kind", UNKNOWN)
def test_a_kind_that_a_later_version_added_neither_counts_nor_raises(kind: int) -> None:
    assert not is_strong(kind)
    assert not any(admissible_pair(kind, other) for other in (*MatchKeyKind, kind))
    assert not any(admissible_pair(other, kind) for other in MatchKeyKind)
    alone = packed((0, kind, "a"), (0, kind, "b"))
    assert satisfies(alone, alone) == ()
    beside = packed((0, kind, "a"), (0, NAME, "b"), (1, SSN, "c"))
    assert rows_matched(beside, beside) == [(2, 1, 1)]
    assert counting([Match(0, 0, 0, kind, b"a" * 16)]) == []


def test_pairs_are_of_weak_kinds_and_disjoint_fields_whatever_the_order() -> None:
    for one, other in product(MatchKeyKind, MatchKeyKind):
        fields = MATCH_KEY_KINDS[one].fields & MATCH_KEY_KINDS[other].fields
        expected = not (is_strong(one) or is_strong(other) or fields)
        assert admissible_pair(one, other) == admissible_pair(other, one) == expected
    assert any(admissible_pair(one, other) for one, other in product(MatchKeyKind, MatchKeyKind))


@pytest.mark.parametrize("cut", [1, 17, 19])
def test_half_rows_are_an_error(cut: int) -> None:
    touch = packed((0, SSN, "a"), (0, SSN, "b"))
    with pytest.raises(ValueError, match="whole rows"):
        satisfies(touch[:cut], touch)
