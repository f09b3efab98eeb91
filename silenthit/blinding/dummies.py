"""Dummies: rows that fill a list of tokens to a whole bucket, and look like the real ones.

They are drawn from a seed that whoever padded the list keeps to itself: the same list later has the
same dummies, as fresh ones would show by changing. See docs/decisions/dummy-tokens.md.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from hashlib import sha512
from itertools import accumulate

from schemas.packing import TOKEN_BYTES
from schemas.vocabulary import MatchKeyKind, is_of_a_subject, is_strong

TOKEN_BUCKET = 8

# How many of a thousand strong tokens are of a kind, in the sample reports and bookings; rare kinds
# rounded up to one, so that none of them is surely real.
_OF_A_THOUSAND = {
    MatchKeyKind.SSN: 4,
    MatchKeyKind.DRIVER_LICENCE: 11,
    MatchKeyKind.PHONE: 32,
    MatchKeyKind.EMAIL: 2,
    MatchKeyKind.SOCIAL_HANDLE: 2,
    MatchKeyKind.PLATE: 34,
    MatchKeyKind.VIN: 7,
    MatchKeyKind.NAME_BIRTH_DATE: 85,
    MatchKeyKind.INITIAL_SURNAME_BIRTH_DATE: 85,
    MatchKeyKind.GIVEN_INITIAL_BIRTH_DATE: 83,
    MatchKeyKind.NAME_START_BIRTH_DATE: 83,
    MatchKeyKind.NAME_BIRTH_MONTH: 85,
    MatchKeyKind.NAME_BIRTH_YEAR_DAY: 85,
    MatchKeyKind.NAME_BIRTHDAY_DECADE: 85,
    MatchKeyKind.NAME_BIRTHDAY_YEAR_DIGIT: 85,
    MatchKeyKind.BIRTH_DATE_STREET: 28,
    MatchKeyKind.BIRTH_DATE_POSTCODE: 28,
    MatchKeyKind.NAME_WORD_STREET_POSTCODE: 59,
    MatchKeyKind.NAME_START_STREET: 29,
    MatchKeyKind.NAME_POSTCODE: 29,
    MatchKeyKind.NAME_WORD_HOUSE_CITY: 20,
    MatchKeyKind.NAME_WORD_BIRTH_DATE_CITY: 57,
}
_KINDS = [kind for kind in MatchKeyKind if is_strong(kind) and is_of_a_subject(kind)]
_OF_PLACES = [kind for kind in MatchKeyKind if not is_of_a_subject(kind)]
_UP_TO = list(accumulate(_OF_A_THOUSAND.get(kind, 1) for kind in _KINDS))


def token_padding(count: int) -> int:
    """How many dummy rows fill a list of tokens to a whole bucket."""
    return -count % TOKEN_BUCKET


def places_of(tokens: Iterable[tuple[int, int]]) -> frozenset[int]:
    """Which subjects of (subject number, kind) are a place and a time, and nobody."""
    return frozenset(subject for subject, kind in tokens if not is_of_a_subject(kind))


def dummy_tokens(
    seed: bytes, count: int, subjects: int, *, places: Collection[int] = ()
) -> list[tuple[int, MatchKeyKind, bytes]]:
    """Draw rows (subject number, strong kind, token) that equal no token; the same for a seed.

    Fewer of them are the beginning of more, so that a list that grows loses only dummies. The
    subjects in `places` have kinds of places and times, as their real ones do, and no other has.
    """
    drawn = (sha512(seed + number.to_bytes(2, "big")).digest() for number in range(count))
    return [_row(bits, int.from_bytes(bits[:8], "big") % subjects, places) for bits in drawn]


def _row(bits: bytes, subject: int, places: Collection[int]) -> tuple[int, MatchKeyKind, bytes]:
    number = int.from_bytes(bits[8:16], "big")
    if subject in places:
        kind = _OF_PLACES[number % len(_OF_PLACES)]
    else:
        kind = _KINDS[bisect_right(_UP_TO, number % _UP_TO[-1])]
    return subject, kind, bits[32 : 32 + TOKEN_BYTES]
