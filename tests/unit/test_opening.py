"""One small touch, changed in every way there is: each change is detected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.packing import GRANT, LOCK, MATCH, pack, rows
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.opening import Sealed, open_touch
from silenthit.blinding.sealing import Signer
from silenthit.errors import SealError, UnknownSignerError
from tests.vectors.touches import (
    HEADER,
    SIGNER,
    TRUSTED,
    alert_for,
    opened,
    sealed_case,
    token,
)

PHONE = token(MatchKeyKind.PHONE)
NAME, ADDRESS = token(MatchKeyKind.FULL_NAME), token(MatchKeyKind.ADDRESS)
OWN = [PHONE, NAME, ADDRESS]
# Subject 0 opens by its phone, subject 1 by two weak tokens; subject 2 is nobody's.
SUBJECTS = [[PHONE], [NAME, ADDRESS], [token(MatchKeyKind.SSN)]]
ONLY_OWN = [frozenset({0, 1}), frozenset({0, 1}), frozenset({0}), frozenset({1}), frozenset({2})]
CASE = sealed_case(SUBJECTS, ONLY_OWN)
SEALED = alert_for(CASE.touch, [(0, PHONE), (1, NAME), (1, ADDRESS)])


def assert_detected(sealed: Sealed) -> None:
    with pytest.raises(SealError):
        opened(sealed, OWN)


def flips(content: bytes) -> list[bytes]:
    """The content with each byte changed in turn, once in its lowest and once in every bit."""
    changed = []
    for place in range(len(content)):
        for by in (0x01, 0xFF):
            copy = bytearray(content)
            copy[place] ^= by
            changed.append(bytes(copy))
    return changed


def cuts(content: bytes) -> list[bytes]:
    return [content[:length] for length in range(len(content))]


def with_part(number: int, part: bytes) -> Sealed:
    parts = list(SEALED.parts)
    parts[number] = part
    return replace(SEALED, parts=tuple(parts))


def test_the_touch_opens_as_it_was_sealed() -> None:
    found = opened(SEALED, OWN)
    assert found.header == HEADER
    assert found.signer == SIGNER.key_id
    assert found.matched == {0, 1}
    assert (found.card, found.common) == CASE.contents[:2]
    assert found.subjects == {0: CASE.contents[2], 1: CASE.contents[3]}


@pytest.mark.parametrize("column", ["header", "locks", "grants"])
def test_every_changed_byte_of_a_column_is_detected(column: str) -> None:
    for changed in flips(getattr(SEALED, column)):
        assert_detected(replace(SEALED, **{column: changed}))


@pytest.mark.parametrize("number", range(len(SEALED.parts)))
def test_every_changed_byte_of_a_part_is_detected(number: int) -> None:
    """Parts that this opener may not read included, and the signature's own."""
    for changed in flips(SEALED.parts[number]):
        assert_detected(with_part(number, changed))


def test_every_changed_byte_of_the_matches_that_opening_uses_is_detected() -> None:
    for place, changed in enumerate(flips(SEALED.matches)):
        field = place // 2 % MATCH.itemsize
        if field in {3, 4}:
            # The watch's subject and the kind open nothing; the inbox holds them to its own watch.
            assert opened(replace(SEALED, matches=changed), OWN) == opened(SEALED, OWN)
        else:
            assert_detected(replace(SEALED, matches=changed))


@pytest.mark.parametrize("column", ["header", "locks", "grants"])
def test_a_column_cut_at_any_length_is_detected(column: str) -> None:
    for cut in cuts(getattr(SEALED, column)):
        assert_detected(replace(SEALED, **{column: cut}))


def test_matches_cut_are_detected_or_name_a_subject_less() -> None:
    """That the exchange tells of fewer matches than there are is beyond any proof."""
    first_subject = rows(SEALED.matches, MATCH)[:1].tobytes()
    for cut in cuts(SEALED.matches):
        if cut != first_subject:
            assert_detected(replace(SEALED, matches=cut))
    fewer = opened(replace(SEALED, matches=first_subject), OWN)
    assert fewer.matched == {0}
    assert fewer.subjects == {0: CASE.contents[2]}


@pytest.mark.parametrize("number", range(len(SEALED.parts)))
def test_a_part_cut_at_any_length_is_detected(number: int) -> None:
    for cut in cuts(SEALED.parts[number]):
        assert_detected(with_part(number, cut))


@pytest.mark.parametrize("count", range(len(SEALED.parts)))
def test_missing_parts_are_detected(count: int) -> None:
    assert_detected(replace(SEALED, parts=SEALED.parts[:count]))
    missing = SEALED.parts[:count] + SEALED.parts[count + 1 :]
    assert_detected(replace(SEALED, parts=missing))


def test_more_parts_are_detected() -> None:
    assert_detected(replace(SEALED, parts=(*SEALED.parts, SEALED.parts[0])))
    assert_detected(replace(SEALED, parts=(*SEALED.parts, b"")))


def test_swapped_parts_are_detected() -> None:
    for one in range(len(SEALED.parts)):
        for other in range(one):
            parts = list(SEALED.parts)
            parts[one], parts[other] = parts[other], parts[one]
            assert_detected(replace(SEALED, parts=tuple(parts)))


@pytest.mark.parametrize("row", range(len(SEALED.grants) // GRANT.itemsize))
def test_a_grant_taken_away_is_detected(row: int) -> None:
    grants = np.delete(rows(SEALED.grants, GRANT), row)
    assert_detected(replace(SEALED, grants=grants.tobytes()))


@pytest.mark.parametrize("row", range(len(SEALED.locks) // LOCK.itemsize))
def test_a_lock_taken_away_is_detected(row: int) -> None:
    locks = np.delete(rows(SEALED.locks, LOCK), row)
    assert_detected(replace(SEALED, locks=locks.tobytes()))


def test_a_grant_to_another_part_of_the_same_subject_is_detected() -> None:
    grants = rows(SEALED.grants, GRANT).copy()
    more = grants[:1].copy()
    more["part"] = 4
    assert_detected(replace(SEALED, grants=grants.tobytes() + more.tobytes()))


@pytest.mark.parametrize("column", ["header", "locks", "grants", "parts"])
def test_columns_of_the_same_touch_sealed_again_do_not_mix(column: str) -> None:
    again = sealed_case(SUBJECTS, ONLY_OWN, header=HEADER.model_copy(update={"revision": 4}))
    other = alert_for(again.touch, [(0, PHONE), (1, NAME), (1, ADDRESS)])
    assert_detected(replace(SEALED, **{column: getattr(other, column)}))


def test_each_part_of_another_sealing_is_detected() -> None:
    other = sealed_case(SUBJECTS, ONLY_OWN).touch
    for number, part in enumerate(other.parts):
        assert_detected(with_part(number, part))


def test_a_lock_of_another_revision_does_not_open() -> None:
    case = sealed_case([[PHONE]], header=HEADER.model_copy(update={"revision": 2}))
    older = alert_for(case.touch, [(0, PHONE)])
    now = alert_for(sealed_case([[PHONE]]).touch, [(0, PHONE)])
    assert_detected(replace(now, locks=older.locks))
    # Not even with its grants: the root that it holds is the old one, and so are its parts.
    assert_detected(replace(now, locks=older.locks, grants=older.grants))
    assert_detected(replace(older, header=now.header))


def test_a_signature_by_another_key_under_the_agencys_name_is_detected() -> None:
    forger = Signer(SIGNER.key_id, Ed25519PrivateKey.generate())
    forged = sealed_case(SUBJECTS, signer=forger)
    assert_detected(alert_for(forged.touch, [(0, PHONE), (1, NAME), (1, ADDRESS)]))


@pytest.mark.parametrize("key_id", ["VT0040100#9", "NH0010000#1", "", "VT0040100"])
def test_an_unknown_signer_is_told_apart(key_id: str) -> None:
    case = sealed_case(SUBJECTS, signer=Signer(key_id, SIGNER.key))
    with pytest.raises(UnknownSignerError, match="partner trust"):
        opened(alert_for(case.touch, [(0, PHONE)]), OWN)


def test_a_trusted_agency_cannot_sign_for_another() -> None:
    other = Signer("NH0010000#1", Ed25519PrivateKey.generate())
    trusted = TRUSTED | {other.key_id: other.key.public_key()}
    case = sealed_case(SUBJECTS, signer=other)  # the header says VT0040100
    sealed = alert_for(case.touch, [(0, PHONE)])
    with pytest.raises(UnknownSignerError):
        open_touch(sealed, {PHONE.value: PHONE.secret}, trusted)


def test_a_right_token_with_a_wrong_secret_opens_nothing() -> None:
    false = replace(PHONE, secret=bytes(32))
    with pytest.raises(SealError):
        opened(SEALED, [false, NAME, ADDRESS])


def test_a_match_that_is_not_ones_own_is_detected_though_another_opens() -> None:
    with pytest.raises(SealError):
        opened(SEALED, [PHONE])


def test_a_match_beside_the_match_rule_is_detected_though_another_opens() -> None:
    lone = token(MatchKeyKind.HOUSE_POSTCODE)
    case = sealed_case([[PHONE, lone]])
    row: tuple[Any, ...] = next(
        (index, int(each["subject"]), 0, int(each["kind"]), lone.value)
        for index, each in enumerate(rows(case.touch.tokens, np.dtype("u1,u1,V16")))
        for each in [dict(zip(("subject", "kind", "token"), each, strict=True))]
        if bytes(each["token"]) == lone.value
    )
    sealed = alert_for(case.touch, [(0, PHONE)])
    with pytest.raises(SealError, match="falsely"):
        opened(replace(sealed, matches=sealed.matches + pack([row], MATCH)), [PHONE, lone])


def test_parts_stay_closed_that_the_policy_does_not_let_a_subject_reach() -> None:
    victim = token(MatchKeyKind.SSN)
    reach = [frozenset({0, 1}), frozenset({0, 1}), frozenset({0, 1}), frozenset({1})]
    case = sealed_case([[PHONE], [victim]], reach)
    by_phone = opened(alert_for(case.touch, [(0, PHONE)]), [PHONE])
    assert by_phone.subjects == {0: case.contents[2]}
    by_victim = opened(alert_for(case.touch, [(0, victim)]), [victim])
    assert by_victim.subjects == {0: case.contents[2], 1: case.contents[3]}


def test_a_touch_may_reach_no_part_but_the_signature() -> None:
    case = sealed_case([[PHONE]], [frozenset()] * 3)
    found = opened(alert_for(case.touch, [(0, PHONE)]), [PHONE])
    assert (found.card, found.common, found.subjects) == (None, None, {})
