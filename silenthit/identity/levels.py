"""How alike each field of two subjects is: one level a field, the best over its several values.

The levels' names are those of `data/model.json`, which says what each is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from rapidfuzz.distance import OSA, JaroWinkler

from schemas.vocabulary import IdentifierKind
from silenthit.identity.addresses import Address, street_core
from silenthit.identity.frequencies import given_frequency, surname_frequency
from silenthit.identity.names import formal_name, formal_names, sound
from silenthit.identity.names_alike import names_alike
from silenthit.identity.prepare import Name, Prepared

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


@dataclass(frozen=True, slots=True)
class Level:
    """One field's outcome. `frequency` is the shared name's, where one is shared exactly."""

    field: str
    level: str
    watched: str
    seen: str
    frequency: float = 0.0

    def __repr__(self) -> str:
        return f"Level({self.field}: {self.level})"


def given_level(a: str, b: str) -> str:
    """Compare two given names: same, nickname, initial, alike, different."""
    if a == b:
        return "same"
    if len(a) == 1 or len(b) == 1:
        return "initial" if a[0] == b[0] else "different"
    if formal_name(a) == formal_name(b) or a in formal_names(b) or b in formal_names(a):
        return "nickname"
    return "alike" if _alike(a, b) else "different"


def surname_level(a: Name, b: Name) -> str:
    """Compare two surnames: same, part (of a double one), alike, different."""
    if a.surname == b.surname:
        return "same"
    several = len(a.parts) > 1 or len(b.parts) > 1
    if several and any(len(part) > _SHORT and part in b.parts for part in a.parts):
        return "part"
    return "alike" if _alike(a.surname, b.surname) else "different"


def _alike(a: str, b: str) -> bool:
    """One slip in four letters, or the same sound and a similar look."""
    similarity = JaroWinkler.similarity(a, b)
    if similarity < 0.7:
        return False
    slips = OSA.distance(a, b)
    return slips <= max(1, min(len(a), len(b)) // 4) or (sound(a) == sound(b) and similarity > 0.8)


def name_levels(watched: Prepared, seen: Prepared) -> list[Level]:
    """Compare names: surname and given of the best pair, swapped if that fits better."""
    best: tuple[int, list[Level]] = (-1, [])
    for a, b in product(watched.names, seen.names):
        for found in (_straight(a, b), _swapped(a, b)):
            if found and (rank := sum(_RANK[each.level] for each in found)) > best[0]:
                best = (rank, found)
        if best[0] == _RANK["same"] * 2:
            break
    if any(each.level == "different" for each in best[1]):
        return _whole_names(watched, seen) or best[1]
    return best[1]


def _whole_names(watched: Prepared, seen: Prepared) -> list[Level]:
    """Names whose parts do not fit one by one but that together are most likely of one person."""
    for a, b in product(watched.names, seen.names):
        full = a.parts and b.parts and a.given and b.given
        if full and names_alike(a.whole, b.whole) > _LIKELY:
            return [Level("name", "alike", a.whole, b.whole)]
    return []


_LIKELY = 0.75
_SHORT = 3  # letters: shorter words agree by accident
_RANK = {
    "same": 9, "nickname": 7, "part": 7, "alike": 6, "middle": 6, "swapped": 5, "initial": 3,
    "crossed": 2, "different": 0,
}  # fmt: skip


def _straight(a: Name, b: Name) -> list[Level]:
    found = []
    if a.surname and b.surname:
        level = surname_level(a, b)
        common = surname_frequency(a.surname) if level == "same" else 0.0
        found.append(Level("surname", level, a.surname, b.surname, common))
    if a.given and b.given:
        level = given_level(a.given, b.given)
        if level == "different" and (_among(a.given, b.middle) or _among(b.given, a.middle)):
            level = "middle"
        common = given_frequency(a.given) if level == "same" else 0.0
        found.append(Level("given", level, a.given, b.given, common))
    return found


def _among(given: str, middle: str) -> bool:
    return len(given) > 1 and given in middle.split()


def _swapped(a: Name, b: Name) -> list[Level]:
    given_fits = bool(a.given and b.surname) and _same_or_alike(a.given, b.surname)
    surname_fits = bool(a.surname and b.given) and _same_or_alike(a.surname, b.given)
    if given_fits and surname_fits:
        return [
            Level("surname", "swapped", a.surname, b.given),
            Level("given", "swapped", a.given, b.surname),
        ]
    if surname_fits and len(a.surname) > _SHORT:
        return [Level("name", "crossed", a.surname, b.given)]
    if given_fits and len(a.given) > _SHORT:
        return [Level("name", "crossed", a.given, b.surname)]
    return []


def _same_or_alike(a: str, b: str) -> bool:
    return a == b or _alike(a, b)


def extra_name_levels(watched: Prepared, seen: Prepared) -> list[Level]:
    """Compare suffix and middle names of the first names, and street names."""
    found = []
    if watched.names and seen.names:
        a, b = watched.names[0], seen.names[0]
        if a.suffix and b.suffix:
            level = "same" if a.suffix == b.suffix else "different"
            found.append(Level("suffix", level, a.suffix, b.suffix))
        if a.middle and b.middle:
            level = given_level(a.middle.split()[0], b.middle.split()[0])
            level = "same" if level in ("nickname", "alike") else level
            found.append(Level("middle", level, a.middle, b.middle))
    if shared := watched.street_names & seen.street_names:
        found.append(Level("street_name", "same", min(shared), min(shared)))
    return found


def date_level(a: str, b: str) -> str:
    """Compare two birth dates: same, year, swapped, slip, two parts, near, different."""
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
    if OSA.distance(a, b) == 1:
        return "slip"
    if sum(map(str.__eq__, parts_a, parts_b)) == 2:
        return "two parts"
    return "different"


_DATE_ORDER = ("same", "swapped", "slip", "two parts", "year", "near", "different")


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
    street_a, street_b = street_core(a.street), street_core(b.street)
    if not street_a or not street_b:
        return ""
    agree = int(bool(a.number) and a.number == b.number)
    agree += street_a == street_b or JaroWinkler.similarity(street_a, street_b) > 0.88
    if a.postcode and b.postcode:
        agree += a.postcode == b.postcode or sorted(a.postcode) == sorted(b.postcode)
    elif a.rest and b.rest:
        agree += JaroWinkler.similarity(a.rest, b.rest) > 0.9
    return ("different", "one of three", "two of three", "same")[agree]


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
