"""How alike the names of two subjects are: surname, given name, suffix, middle and street names."""

from __future__ import annotations

from itertools import product

from rapidfuzz.distance import OSA, JaroWinkler

from silenthit.identity.frequencies import given_frequency, surname_frequency
from silenthit.identity.level import Level
from silenthit.identity.names import formal_name, formal_names, sound
from silenthit.identity.names_alike import names_alike
from silenthit.identity.prepare import Name, Prepared


def given_level(a: str, b: str) -> str:
    """Compare two given names: same, nickname, initial, alike, near, different."""
    if a == b:
        return "same"
    if len(a) == 1 or len(b) == 1:
        return "initial" if a[0] == b[0] else "different"
    if formal_name(a) == formal_name(b) or a in formal_names(b) or b in formal_names(a):
        return "nickname"
    return _spelling(a, b)


def surname_level(a: Name, b: Name) -> str:
    """Compare two surnames: same, part (of a double one), alike, near, different."""
    if a.surname == b.surname:
        return "same"
    several = len(a.parts) > 1 or len(b.parts) > 1
    if several and any(len(part) > _SHORT and part in b.parts for part in a.parts):
        return "part"
    return _spelling(a.surname, b.surname)


def _spelling(a: str, b: str) -> str:
    """Alike: one slip in four letters, or the same sound and a similar look. Near: similar only."""
    similarity = JaroWinkler.similarity(a, b)
    if similarity < 0.7:
        return "different"
    slips = OSA.distance(a, b)
    if slips <= max(1, min(len(a), len(b)) // 4) or (similarity > 0.8 and sound(a) == sound(b)):
        return "alike"
    return "near" if similarity > _NEAR else "different"


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
_NEAR = 0.82  # Jaro-Winkler: a name mangled more than once
_SHORT = 3  # letters: shorter words agree by accident
_RANK = {
    "same": 9, "nickname": 7, "part": 7, "alike": 6, "middle": 6, "swapped": 5, "near": 4,
    "initial": 3, "crossed": 2, "different": 0,
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
    return a == b or _spelling(a, b) == "alike"


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
