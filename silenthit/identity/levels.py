"""How alike each field of two subjects is: one level a field, the best over its several values.

The levels' names are those of `data/model.json`, which says what each is worth.
"""

from __future__ import annotations

from itertools import product

from rapidfuzz.distance import OSA, JaroWinkler

from schemas.vocabulary import IdentifierKind
from silenthit.identity.addresses import Address, street_core
from silenthit.identity.level import Level
from silenthit.identity.name_levels import extra_name_levels, name_levels
from silenthit.identity.prepare import Prepared

NUMBER_FIELDS = {
    IdentifierKind.SSN: "ssn",
    IdentifierKind.FBI_NUMBER: "fbi_number",
    IdentifierKind.STATE_ID: "state_id",
    IdentifierKind.DRIVER_LICENCE: "driver_licence",
    IdentifierKind.PASSPORT: "passport",
    IdentifierKind.A_NUMBER: "a_number",
}
ASSOCIATION_FIELDS = {
    IdentifierKind.PHONE: "phone",
    IdentifierKind.EMAIL: "email",
    IdentifierKind.SOCIAL_HANDLE: "social_handle",
    IdentifierKind.PLATE: "plate",
    IdentifierKind.VIN: "vin",
    IdentifierKind.DEVICE: "device",
    IdentifierKind.PAYMENT: "payment",
}


def date_level(a: str, b: str) -> str:
    """Compare two birth dates: same, year, swapped, slip, two parts, two slips, near, different."""
    if a == b:
        return "same" if len(a) == 10 else "year"
    if len(a) < 10 or len(b) < 10:
        shorter = min(len(a), len(b))
        if a[:shorter] == b[:shorter]:
            return "year"
        return "near" if abs(int(a[:4]) - int(b[:4])) <= 1 else "different"
    parts_a, parts_b = (a[:4], a[5:7], a[8:]), (b[:4], b[5:7], b[8:])
    if parts_a[0] == parts_b[0] and parts_a[1:] == parts_b[:0:-1]:
        return "swapped"
    slips = OSA.distance(a, b)
    if slips == 1:
        return "slip"
    if sum(map(str.__eq__, parts_a, parts_b)) == 2:
        return "two parts"
    return "two slips" if slips == 2 else "different"


_DATE_ORDER = ("same", "swapped", "slip", "two parts", "year", "two slips", "near", "different")


def date_levels(watched: Prepared, seen: Prepared) -> list[Level]:
    """Compare birth dates; the best pair counts."""
    if not watched.birth_dates or not seen.birth_dates:
        return []
    pairs = product(watched.birth_dates, seen.birth_dates)
    level, a, b = min(
        ((date_level(a, b), a, b) for a, b in pairs), key=lambda each: _DATE_ORDER.index(each[0])
    )
    return [Level("birth_date", level, a, b)]


def address_level(a: Address, b: Address) -> str:
    """Compare two addresses by house number, street and place: how many of the three agree."""
    if not a.street or not b.street:
        return ""
    agree = int(bool(a.number) and a.number == b.number)
    agree += _same_street(a, b)
    agree += _same_place(a, b)
    return ("different", "one of three", "two of three", "same")[agree]


def _same_street(a: Address, b: Address) -> bool:
    """Alike but for spelling and spaces, or the one's street is what the other calls a building."""
    core_a, core_b = street_core(a.street), street_core(b.street)
    if core_a == core_b or JaroWinkler.similarity(core_a, core_b) > 0.88:
        return True
    one, other = a.street.replace(" ", ""), b.street.replace(" ", "")
    if JaroWinkler.similarity(one, other) > 0.92:
        return True
    return (len(core_a) > _LONG and core_a in b.rest) or (len(core_b) > _LONG and core_b in a.rest)


def _same_place(a: Address, b: Address) -> bool:
    """The postcode's digits in any order, or the city but for spelling."""
    if a.postcode and sorted(a.postcode) == sorted(b.postcode):
        return True
    return bool(a.city and b.city) and (
        a.city == b.city or JaroWinkler.similarity(a.city, b.city) > 0.9
    )


_LONG = 4  # letters: a shorter street's name is part of many words
_ADDRESS_ORDER = ("same", "two of three", "one of three", "different", "")


def address_levels(watched: Prepared, seen: Prepared) -> list[Level]:
    """Compare addresses; the best pair counts."""
    if not watched.addresses or not seen.addresses:
        return []
    pairs = product(watched.addresses, seen.addresses)
    level, a, b = min(
        ((address_level(a, b), a, b) for a, b in pairs),
        key=lambda each: _ADDRESS_ORDER.index(each[0]),
    )
    if not level:
        return []
    return [
        Level("address", level, f"{a.number} {a.street}".strip(), f"{b.number} {b.street}".strip())
    ]


def _same_line(a: frozenset[str], b: frozenset[str]) -> frozenset[str]:
    """Telephone numbers of which one side lacks the area code."""
    return frozenset(
        max(one, other, key=len)
        for one, other in product(a, b)
        if len(one) != len(other) and (one.endswith(other) or other.endswith(one))
    )


def number_levels(watched: Prepared, seen: Prepared) -> list[Level]:
    """Compare identifiers of a kind that both have: same, slip (a digit wrong), different."""
    found = []
    for kind, a in watched.numbers.items():
        b = seen.numbers.get(kind)
        if not b:
            continue
        field = NUMBER_FIELDS.get(kind) or ASSOCIATION_FIELDS[kind]
        shared = a & b
        if kind is IdentifierKind.PHONE and not shared:
            shared = _same_line(a, b)
        if shared:
            value = min(shared)
            found.append(Level(field, "same", value, value))
            continue
        one, other = min(a), min(b)
        slip = len(one) > 6 and OSA.distance(one, other, score_cutoff=1) <= 1
        found.append(Level(field, "slip" if slip else "different", one, other))
    return found


def levels(watched: Prepared, seen: Prepared) -> list[Level]:
    """Compare all fields that both subjects have."""
    found = name_levels(watched, seen)
    found += extra_name_levels(watched, seen)
    found += date_levels(watched, seen)
    if watched.sex and seen.sex:
        level = "same" if watched.sex == seen.sex else "different"
        found.append(Level("sex", level, watched.sex, seen.sex))
    found += address_levels(watched, seen)
    found += number_levels(watched, seen)
    return found
