"""What the exchange can see of a sealed touch says as little as promised."""

from __future__ import annotations

from collections import Counter

import pytest

from schemas import codec
from schemas.packing import GRANT, LOCK, NO_TOKEN, TOKEN, rows
from schemas.vocabulary import MATCH_KEY_KINDS, MatchKeyKind, Strength, is_of_a_subject
from silenthit.blinding.dummies import dummy_tokens, token_padding
from silenthit.blinding.sealing import MAX_SUBJECTS
from silenthit.errors import InputError
from tests.vectors.touches import HEADER, Case, sealed_case, token

PHONE, SSN = MatchKeyKind.PHONE, MatchKeyKind.SSN


def sizes(case: Case) -> tuple[int, ...]:
    touch = case.touch
    columns = (touch.header, touch.tokens, touch.locks, touch.grants, *touch.parts)
    return (*map(len, columns), len(codec.encode(touch)))


def test_touches_of_similar_content_have_equal_sizes() -> None:
    short = sealed_case([[token(SSN)]], narrative="")
    longer = sealed_case([[token(PHONE), token(SSN)] * 4], narrative="n" * 180)
    assert sizes(short) == sizes(longer)


def test_a_narrative_costs_whole_buckets() -> None:
    found = {
        len(sealed_case([[token(SSN)]], narrative="n" * length).touch.parts[1])
        for length in range(0, 4000, 97)
    }
    assert found == {28 + bucket for bucket in (256, 512, 1024, 2048, 4096)}


@pytest.mark.parametrize("count", range(1, 18))
def test_tokens_are_padded_to_whole_eights(count: int) -> None:
    touch = sealed_case([[token(SSN) for _ in range(count)]]).touch
    assert len(rows(touch.tokens, TOKEN)) == count + token_padding(count)
    assert len(rows(touch.tokens, TOKEN)) == -(-count // 8) * 8
    assert len(rows(touch.locks, LOCK)) == len(rows(touch.tokens, TOKEN))


def test_the_real_token_stands_at_any_row() -> None:
    places = set()
    for number in range(300):
        # Tokens are random, and each record has its own dummies: chance says which comes where.
        own = token(SSN)
        header = HEADER.model_copy(update={"record_id": number.to_bytes(16, "big")})
        table = rows(sealed_case([[own]], header=header).touch.tokens, TOKEN)
        places.add([row["token"].tobytes() for row in table].index(own.value))
    assert places == set(range(8))


def test_every_row_has_a_lock_of_its_own_whether_dummy_or_not() -> None:
    touch = sealed_case([[token(SSN)], [token(PHONE)]]).touch
    locks = rows(touch.locks, LOCK)
    assert locks["first"].tolist() == list(range(8))
    assert set(locks["second"].tolist()) == {NO_TOKEN}
    assert len({row["wrapped"].tobytes() for row in locks}) == 8
    assert locks["subject"].tolist() == rows(touch.tokens, TOKEN)["subject"].tolist()


def test_dummies_are_of_strong_kinds_as_often_as_tokens_are_and_never_the_same() -> None:
    dummies = dummy_tokens(b"seed", 5000, subjects=4)
    assert {subject for subject, _, _ in dummies} == set(range(4))
    kinds = Counter(kind for _, kind, _ in dummies)
    assert all(MATCH_KEY_KINDS[kind].strength is Strength.STRONG for kind in kinds)
    assert set(kinds) > {PHONE, SSN, MatchKeyKind.PAYMENT}
    assert kinds[MatchKeyKind.NAME_BIRTH_DATE] > kinds[PHONE] > kinds[SSN]
    assert len({value for _, _, value in dummies}) == 5000
    assert {len(value) for _, _, value in dummies} == {16}


def test_a_seed_gives_the_same_dummies_and_fewer_are_the_beginning_of_more() -> None:
    assert dummy_tokens(b"seed", 3, subjects=2) == dummy_tokens(b"seed", 7, subjects=2)[:3]
    assert dummy_tokens(b"seed", 3, subjects=2) != dummy_tokens(b"other", 3, subjects=2)


def test_dummies_of_a_place_and_a_time_are_of_its_kinds_and_leave_the_others_as_they_were() -> None:
    places = {kind for kind in MatchKeyKind if not is_of_a_subject(kind)}
    plain = dummy_tokens(b"seed", 500, subjects=3)
    drawn = dummy_tokens(b"seed", 500, subjects=3, places={2})
    assert {kind for subject, kind, _ in drawn if subject == 2} == places
    assert [row for row in drawn if row[0] != 2] == [row for row in plain if row[0] != 2]
    assert not places & {kind for _, kind, _ in plain}


def test_a_touch_with_a_place_is_filled_so_that_its_dummies_are_like_its_tokens() -> None:
    place = token(MatchKeyKind.PLACE_COVER_TIME_COVER)
    found = rows(sealed_case([[token(SSN)], [place]]).touch.tokens, TOKEN)
    for row in found:
        assert is_of_a_subject(int(row["kind"])) == (row["subject"] == 0)
    assert set(found["subject"].tolist()) == {0, 1}


def test_sealing_twice_shares_nothing_but_header_and_tokens_the_dummies_too() -> None:
    own = token(SSN)
    one, two = sealed_case([[own]]).touch, sealed_case([[own]]).touch
    assert one.header == two.header
    assert set(one.parts).isdisjoint(two.parts)
    tokens = [{row["token"].tobytes() for row in rows(t.tokens, TOKEN)} for t in (one, two)]
    assert tokens[0] == tokens[1]
    assert len(tokens[0]) == 8
    wrapped = [{row["wrapped"].tobytes() for row in rows(t.locks, LOCK)} for t in (one, two)]
    assert not wrapped[0] & wrapped[1]


def test_another_record_has_other_dummies() -> None:
    own = token(SSN)
    other = HEADER.model_copy(update={"record_id": b"another record.."})
    touches = [sealed_case([[own]], header=header).touch for header in (HEADER, other)]
    tokens = [{row["token"].tobytes() for row in rows(t.tokens, TOKEN)} for t in touches]
    assert tokens[0] & tokens[1] == {own.value}


def test_what_is_withheld_from_whom_shows_nowhere() -> None:
    people = [[token(SSN)], [token(PHONE)]]
    both = frozenset({0, 1})
    only_own_reach = [both, both, frozenset({0}), frozenset({1})]
    everybody = sealed_case(people).touch
    only_own = sealed_case(people, only_own_reach).touch
    shapes = [rows(t.grants, GRANT)[["subject", "part"]].tolist() for t in (everybody, only_own)]
    assert shapes[0] == shapes[1] == [(s, p) for s in range(2) for p in range(5)]
    assert len(everybody.grants) == len(only_own.grants)


def test_nothing_of_the_content_stands_in_clear() -> None:
    touch = sealed_case([[token(SSN)]], narrative="MARKER of a narrative").touch
    packed = codec.encode(touch)
    for word in (b"MARKER", b"narrative", b"802-555", b"24-1", b"1980", b"traffic_stop"):
        assert word not in packed


@pytest.mark.parametrize("subjects", [[], [[]], [[], []]])
def test_a_touch_that_nobody_could_open_is_refused(subjects: list[list[object]]) -> None:
    with pytest.raises(InputError, match="expected"):
        sealed_case(subjects)  # type: ignore[arg-type]


def test_too_many_subjects_tokens_or_locks_are_refused() -> None:
    with pytest.raises(InputError, match="subjects"):
        sealed_case([[token(SSN)]] * (MAX_SUBJECTS + 1))
    with pytest.raises(InputError, match="tokens"):
        sealed_case([[token(SSN)] * 65_535])
    weak = [token(MatchKeyKind.FULL_NAME)] * 260 + [token(MatchKeyKind.ADDRESS)] * 260
    with pytest.raises(InputError, match="locks"):
        sealed_case([weak])
