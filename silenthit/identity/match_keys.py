"""Match keys: what two records of one person are likely to share.

    >>> from schemas.parts import PersonName, Subject
    >>> bill, william = PersonName(given="Bill", surname="Smith"), PersonName(full="SMITH, William")
    >>> one = Subject(names=(bill,), birth_dates=("1980-01-02",))
    >>> other = Subject(names=(william,), birth_dates=("1980-02-01",))
    >>> [key.kind.name for key in match_keys(one) if key in match_keys(other)][:1]
    ['NAME_BIRTH_DATE']

Which keys there are was chosen by measurement: see docs/identity.md. Every strong key survives one
kind of mistake in a record: a name heard, shortened, swapped or begun alike; one part of a date
wrong or day and month swapped; two digits of a postcode swapped; a misspelled end of a street.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import NamedTuple

from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, MatchKeyKind, NameKind
from silenthit.identity.addresses import city_start, parse_address, street_core
from silenthit.identity.dates import birth_date
from silenthit.identity.names import PARTICLES, formal_name, parse, sound, start, street_name
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


class MatchKey(NamedTuple):
    """A normalised combination of identifiers; the repr hides its value."""

    kind: MatchKeyKind
    value: str

    def __repr__(self) -> str:
        return f"MatchKey({self.kind.name})"


@dataclass(frozen=True, slots=True)
class _Name:
    """One name, one of its surnames: how both sound, how both begin."""

    given: str
    surname: str
    given_start: str
    surname_start: str

    def heard(self) -> str:
        """Both names in one order, whichever field they stood in."""
        return " ".join(sorted((self.given, self.surname)))

    def begun(self) -> str:
        """The beginnings of both names in one order."""
        return " ".join(sorted((self.given_start, self.surname_start)))


@dataclass(frozen=True, slots=True)
class _Place:
    """One address: house number, beginnings of the street's own name and of the city, postcode."""

    number: str
    street: str
    city: str
    postcode: str

    def loose_postcode(self) -> str:
        """The postcode's digits in order of size: swapped digits do not matter."""
        return "".join(sorted(self.postcode))


def match_keys(
    subject: Subject, *, items: Sequence[Identifier] = (), area_code: str = ""
) -> tuple[MatchKey, ...]:
    """Return the match keys of a subject, strong ones first, without repeats.

    `items` are identifiers of the touch that are tied to no subject: they count for each of its
    subjects. `area_code` completes local telephone numbers. At most eight keys are weak.
    """
    written = (*subject.identifiers, *items)
    names = list(dict.fromkeys(_names(subject.names)))
    dates = [day for day in map(birth_date, subject.birth_dates) if len(day) == 10]
    places = [_place(each.value) for each in written if each.kind is IdentifierKind.ADDRESS]
    strong = dict.fromkeys(_identifier_keys(written, area_code))
    for name in names:
        strong |= dict.fromkeys(_name_keys(name, dates, places))
    strong |= dict.fromkeys(_date_place_keys(dates, places))
    weak = dict.fromkeys(_weak_keys(names, _street_names(subject), dates, places))
    return (*strong, *islice(weak, MAX_WEAK))


def _identifier_keys(written: Sequence[Identifier], area_code: str) -> Iterator[MatchKey]:
    for each in written:
        kind = _ALONE.get(each.kind)
        value = identifier(each, area_code=area_code) if kind else ""
        if kind is MatchKeyKind.PLATE:
            value = plate_as_read(value)
        if kind and value:
            yield MatchKey(kind, value)


def _names(written: Sequence[PersonName]) -> Iterator[_Name]:
    """Names but street names; a surname also without particles, a double one by each part."""
    for each in written:
        if each.kind is NameKind.STREET_NAME:
            continue
        parts = parse(each)
        given = parts.given[0] if parts.given else ""
        words = [word for word in parts.surname if len(word) > 2 and word not in PARTICLES]
        surnames = ["".join(parts.surname), *words]
        heard = sound(formal_name(given)) if given else ""
        for surname in dict.fromkeys(surnames):
            if given or surname:
                yield _Name(heard, sound(surname) if surname else "", start(given), start(surname))


def _street_names(subject: Subject) -> list[str]:
    street = [each for each in subject.names if each.kind is NameKind.STREET_NAME]
    known = [street_name(each.full or f"{each.given}{each.surname}") for each in street]
    return [each for each in known if len(each) > 1]


def _place(text: str) -> _Place:
    parts = parse_address(text)
    street = street_core(parts.street).replace(" ", "")[:4]
    return _Place(parts.number, street, city_start(parts.city), parts.postcode)


def _name_keys(name: _Name, dates: list[str], places: list[_Place]) -> Iterator[MatchKey]:
    kinds = MatchKeyKind
    if name.given and name.surname:
        for day in dates:
            yield from _name_date_keys(name, day)
        for place in places:
            if place.street:
                yield MatchKey(kinds.NAME_START_STREET, f"{name.begun()} {place.street}")
            if place.postcode:
                yield MatchKey(kinds.NAME_POSTCODE, f"{name.heard()} {place.postcode}")
    for word in filter(None, (name.given_start, name.surname_start)):
        for place in places:
            yield from _word_keys(word, dates, place)


def _word_keys(word: str, dates: list[str], place: _Place) -> Iterator[MatchKey]:
    """Keys of one name, given or surname, for when the other is wrong or they are swapped."""
    kinds = MatchKeyKind
    if place.street and place.postcode:
        at = f"{place.street} {place.loose_postcode()}"
        yield MatchKey(kinds.NAME_WORD_STREET_POSTCODE, f"{word} {at}")
    if place.city:
        for day in dates:
            yield MatchKey(
                kinds.NAME_WORD_BIRTH_DATE_CITY, f"{word} {_unordered(day)} {place.city}"
            )


def _name_date_keys(name: _Name, day: str) -> Iterator[MatchKey]:
    kinds, heard, sorted_day = MatchKeyKind, name.heard(), _unordered(day)
    initials = f"{name.given_start[:1]} {name.surname}", f"{name.given} {name.surname_start[:1]}"
    yield MatchKey(kinds.NAME_BIRTH_DATE, f"{heard} {sorted_day}")
    yield MatchKey(kinds.INITIAL_SURNAME_BIRTH_DATE, f"{initials[0]} {sorted_day}")
    yield MatchKey(kinds.GIVEN_INITIAL_BIRTH_DATE, f"{initials[1]} {sorted_day}")
    yield MatchKey(kinds.NAME_START_BIRTH_DATE, f"{name.begun()} {sorted_day}")
    yield MatchKey(kinds.NAME_BIRTH_MONTH, f"{heard} {day[:7]}")
    yield MatchKey(kinds.NAME_BIRTH_YEAR_DAY, f"{heard} {day[:4]} {day[8:]}")
    yield MatchKey(kinds.NAME_BIRTHDAY_DECADE, f"{heard} {day[2]} {day[5:]}")
    yield MatchKey(kinds.NAME_BIRTHDAY_YEAR_DIGIT, f"{heard} {day[3]} {day[5:]}")


def _date_place_keys(dates: list[str], places: list[_Place]) -> Iterator[MatchKey]:
    for place in places:
        for day in dates:
            if place.street:
                yield MatchKey(MatchKeyKind.BIRTH_DATE_STREET, f"{_unordered(day)} {place.street}")
            if place.postcode:
                yield MatchKey(
                    MatchKeyKind.BIRTH_DATE_POSTCODE, f"{_unordered(day)} {place.postcode}"
                )


def _weak_keys(
    names: list[_Name], street_names: list[str], dates: list[str], places: list[_Place]
) -> Iterator[MatchKey]:
    """Weak keys, what finds most first; each of a name counts with each of an address."""
    kinds = MatchKeyKind
    whole = [name for name in names if name.given and name.surname]
    yield from (
        _house(place) for place in places if place.number and (place.postcode or place.street)
    )
    for name in whole:
        yield MatchKey(kinds.FULL_NAME, name.heard())
    for place in places:
        if place.number and place.city:
            yield MatchKey(kinds.HOUSE_CITY, f"{place.number} {place.city}")
    for name in whole:
        yield MatchKey(kinds.NAME_STARTS, name.begun())
    for street, day in product(street_names, dates):
        yield MatchKey(kinds.STREET_NAME_BIRTH_DATE, f"{street} {_unordered(day)}")


def _house(place: _Place) -> MatchKey:
    if place.postcode:
        return MatchKey(MatchKeyKind.HOUSE_POSTCODE, f"{place.number} {place.loose_postcode()}")
    return MatchKey(MatchKeyKind.ADDRESS, f"{place.number} {place.street}")


def _unordered(day: str) -> str:
    """A date whose day and month may be swapped: "1980-05-02" and "1980-02-05" are one."""
    return f"{day[:4]} {min(day[5:7], day[8:])} {max(day[5:7], day[8:])}"
