"""Match keys: what two records of one person are likely to share.

    >>> from schemas.parts import PersonName, Subject
    >>> one = Subject(names=(PersonName(given="Bill", surname="Smith"),), birth_dates=("1980-01-02",))
    >>> other = Subject(names=(PersonName(full="SMITH, William"),), birth_dates=("1980-02-01",))
    >>> kinds = {key.kind.name for key in match_keys(one) if key in match_keys(other)}
    >>> "NAME_BIRTH_DATE" in kinds
    True

Which keys there are was chosen by measurement: docs/identity.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from schemas.parts import Identifier, Subject
from schemas.vocabulary import IdentifierKind, MatchKeyKind, NameKind
from silenthit.identity.addresses import parse_address, street_core
from silenthit.identity.dates import birth_date
from silenthit.identity.names import NameParts, formal_names, parse, sound, street_name
from silenthit.identity.normalise import identifier
from silenthit.identity.vehicles import plate_as_read

MAX_WEAK = 8  # a subject: each admissible pair of weak keys costs a lock

_ALONE = {
    IdentifierKind.SSN: MatchKeyKind.SSN,
    IdentifierKind.FBI_NUMBER: MatchKeyKind.FBI_NUMBER,
    IdentifierKind.STATE_ID: MatchKeyKind.STATE_ID,
    IdentifierKind.DRIVER_LICENCE: MatchKeyKind.DRIVER_LICENCE,
    IdentifierKind.PASSPORT: MatchKeyKind.PASSPORT,
    IdentifierKind.A_NUMBER: MatchKeyKind.A_NUMBER,
    IdentifierKind.PHONE: MatchKeyKind.PHONE,
    IdentifierKind.EMAIL: MatchKeyKind.EMAIL,
    IdentifierKind.SOCIAL_HANDLE: MatchKeyKind.SOCIAL_HANDLE,
    IdentifierKind.PLATE: MatchKeyKind.PLATE,
    IdentifierKind.VIN: MatchKeyKind.VIN,
    IdentifierKind.DEVICE: MatchKeyKind.DEVICE,
    IdentifierKind.PAYMENT: MatchKeyKind.PAYMENT,
}


@dataclass(frozen=True, slots=True)
class MatchKey:
    """A normalised combination of identifiers; the repr hides its value."""

    kind: MatchKeyKind
    value: str

    def __repr__(self) -> str:
        return f"MatchKey({self.kind.name})"


def match_keys(
    subject: Subject, *, items: Sequence[Identifier] = (), area_code: str = ""
) -> tuple[MatchKey, ...]:
    """Return the match keys of a subject, strong ones first, without repeats.

    `items` are identifiers of the touch that are tied to no subject: they count for each of its
    subjects. `area_code` completes local telephone numbers. At most eight keys are weak.
    """
    written = (*subject.identifiers, *items)
    strong = dict.fromkeys(_identifier_keys(written, area_code))
    names = [each for each in map(parse, _names(subject)) if each.surname or each.given]
    dates = [day for day in map(birth_date, subject.birth_dates) if day]
    places = [_place(each.value) for each in written if each.kind is IdentifierKind.ADDRESS]
    strong |= dict.fromkeys(_strong_person_keys(names, dates, places))
    weak = dict.fromkeys(_weak_person_keys(subject, names, dates, places))
    return (*strong, *islice(weak, MAX_WEAK))


def _identifier_keys(written: Sequence[Identifier], area_code: str) -> Iterator[MatchKey]:
    for each in written:
        kind = _ALONE.get(each.kind)
        value = identifier(each, area_code=area_code) if kind else ""
        if kind is MatchKeyKind.PLATE:
            value = plate_as_read(value)
        if kind and value:
            yield MatchKey(kind, value)


def _names(subject: Subject) -> Iterator:
    return (each for each in subject.names if each.kind is not NameKind.STREET_NAME)


def _place(text: str) -> tuple[str, str]:
    """House number with the sound of the street, and the postcode."""
    parts = parse_address(text)
    at = f"{parts.number} {sound(street_core(parts.street).lower())}" if parts.number else ""
    return at, parts.postcode


def _given_codes(name: NameParts) -> list[str]:
    """How the first given name sounds, as written and as the formal name it may be short for."""
    return list(dict.fromkeys(sound(each) for each in formal_names(name.given[0])[:2])) if name.given else []


def _surname_codes(name: NameParts) -> list[str]:
    """How the surname sounds: whole, and each part of a double one."""
    parts = [part for part in name.surname if len(part) > 2]
    whole = "".join(name.surname)
    return list(dict.fromkeys(sound(each) for each in ([whole, *parts] if len(parts) > 1 else [whole]))) if whole else []


def _strong_person_keys(names: list[NameParts], dates: list[str], places: list[tuple[str, str]]) -> Iterator[MatchKey]:
    K = MatchKeyKind
    for name in names:
        givens, surnames = _given_codes(name), _surname_codes(name)
        fulls = [" ".join(sorted((g, s))) for g in givens for s in surnames]
        for full in fulls:
            for day in dates:
                if len(day) == 10:
                    year, low, high = day[:4], *sorted((day[5:7], day[8:]))
                    yield MatchKey(K.NAME_BIRTH_DATE, f"{full} {year} {low} {high}")
        if fulls:
            for day in dates:
                if len(day) == 10:
                    yield MatchKey(K.NAME_BIRTH_YEAR_MONTH, f"{fulls[0]} {day[:7]}")
                    yield MatchKey(K.NAME_BIRTH_MONTH_DAY, f"{fulls[0]} {day[5:]}")
                    yield MatchKey(K.NAME_BIRTH_YEAR_DAY, f"{fulls[0]} {day[:4]} {day[8:]}")
            for _, postcode in places:
                if postcode:
                    yield MatchKey(K.NAME_POSTCODE, f"{fulls[0]} {postcode}")
        for at, _ in places:
            if at:
                for s in surnames:
                    yield MatchKey(K.SURNAME_ADDRESS, f"{s} {at}")
                for g in givens:
                    yield MatchKey(K.GIVEN_ADDRESS, f"{g} {at}")
    for at, _ in places:
        for day in dates:
            if at and len(day) == 10:
                yield MatchKey(K.BIRTH_DATE_ADDRESS, f"{day} {at}")


def _weak_person_keys(subject: Subject, names: list[NameParts], dates: list[str], places: list[tuple[str, str]]) -> Iterator[MatchKey]:
    K = MatchKeyKind
    for name in names:
        givens, surnames = _given_codes(name), _surname_codes(name)
        if givens and surnames:
            yield MatchKey(K.FULL_NAME, " ".join(sorted((givens[0], surnames[0]))))
        for day in dates:
            if len(day) == 10:
                if givens:
                    yield MatchKey(K.GIVEN_BIRTH_DATE, f"{givens[0]} {day}")
                if surnames:
                    yield MatchKey(K.SURNAME_BIRTH_DATE, f"{surnames[0]} {day}")
    for at, postcode in places:
        if at:
            yield MatchKey(K.ADDRESS, f"{at} {postcode}".strip())
    for each in subject.names:
        if each.kind is NameKind.STREET_NAME:
            nick = street_name(each.full or each.given)
            for day in dates:
                if nick:
                    yield MatchKey(K.STREET_NAME_BIRTH_DATE, f"{nick} {day}")
