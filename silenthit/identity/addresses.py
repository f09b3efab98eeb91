"""Postal addresses, after USPS Publication 28."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from anyascii import anyascii

from silenthit.identity.jurisdictions import STATE_CODES, STATES

_SUFFIXES = {word: words.split()[0] for words in (
    "ALY ALLEY", "ANX ANNEX", "ARC ARCADE", "AVE AVENUE AV AVEN", "BND BEND", "BLVD BOULEVARD BOUL",
    "BRG BRIDGE", "BYP BYPASS", "CIR CIRCLE CIRCUIT CCT CRCT", "CL CLOSE", "CT COURT CRT",
    "CV COVE",
    "CRES CRESCENT CR", "XING CROSSING", "DR DRIVE DRV", "EST ESTATE", "EXPY EXPRESSWAY",
    "FWY FREEWAY", "GDNS GARDENS", "GRV GROVE GR", "HTS HEIGHTS", "HWY HIGHWAY", "HL HILL",
    "JCT JUNCTION", "LN LANE", "LOOP LP", "MNR MANOR", "PKWY PARKWAY PKY", "PASS PASSAGE",
    "PL PLACE",
    "PLZ PLAZA", "PT POINT", "RDG RIDGE", "RD ROAD", "RTE ROUTE", "SQ SQUARE", "ST STREET STR",
    "TER TERRACE TERR TCE", "TRCE TRACE", "TRL TRAIL", "TPKE TURNPIKE", "VW VIEW", "VLG VILLAGE",
    "WAY WY",
) for word in words.split()}  # fmt: skip
_DIRECTIONS = {word: words.split()[0] for words in (
    "N NORTH", "S SOUTH", "E EAST", "W WEST", "NE NORTHEAST", "NW NORTHWEST", "SE SOUTHEAST",
    "SW SOUTHWEST",
) for word in words.split()}  # fmt: skip
# Suffixes that buildings, villages and farms do not have.
_STREET_WORDS = frozenset("AVE BLVD CIR CL CT CRES DR LN PL RD ST TER WAY".split())
_UNIT = re.compile(
    r"(?:\b(?:APARTMENT|APT|UNIT|SUITE|STE|ROOM|RM|FLOOR|FL|LOT|SPACE|SPC|TRLR|BLDG)\b\.?\s*#?\s*"
    r"|#\s*)([A-Z0-9-]{1,6})\b"
)
_ORDINALS = dict(zip(
    "FIRST SECOND THIRD FOURTH FIFTH SIXTH SEVENTH EIGHTH NINTH TENTH".split(),
    "1ST 2ND 3RD 4TH 5TH 6TH 7TH 8TH 9TH 10TH".split(), strict=True,
))  # fmt: skip
_LONGEST = 300  # signs of an address; a longer text is none
_MOST_READINGS = 4
_NOWHERE = frozenset(
    {"", "UNKNOWN", "HOMELESS", "TRANSIENT", "GENERAL DELIVERY", "NONE", "REFUSED"}
)
_STATE = "|".join(sorted(STATE_CODES | {"VIC", "NSW", "QLD", "TAS", "ACT"}))
_POSTCODE = re.compile(rf"(?:\b(?P<state>{_STATE}))?[\s,]*\b(?P<zip>\d{{4,5}})(?:-\d{{4}})?\s*$")
_NO_ADDRESS = re.compile(r"[^A-Z0-9,#/\n ;-]")  # in capitals
_BREAKS = str.maketrans(";\n", ",,")
_HOUSE_ALONE = re.compile(r"\d+[A-Z]?")
_STREET = re.compile(r"^(?P<number>\d+[A-Z]?(?:-\d+)?)(?:\s1/2)?\s+(?P<street>.+)$")


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an address, upper case, "" where not said; the repr hides them."""

    number: str = ""
    street: str = ""
    unit: str = ""
    rest: str = ""  # building, city
    city: str = ""
    state: str = ""
    postcode: str = ""

    def __repr__(self) -> str:
        return "Address()"


def parse_address(text: str) -> Address:
    """Split an address written on one line, the street first.

    "123 North Main Street, Apartment 4B, Boston MA 02101-1234" has number 123, street "N MAIN ST",
    unit 4B, rest "BOSTON", state MA, postcode 02101. City and street should be parted by a comma or
    line break; otherwise the street ends with its suffix.
    """
    return _parsed(text) if len(text) <= _LONGEST else Address()


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Address:
    plain = text if text.isascii() else anyascii(text)
    kept = _NO_ADDRESS.sub("", plain.upper()).translate(_BREAKS)
    state = postcode = unit = ""
    if (found := _POSTCODE.search(kept)) and (found.start() or found["state"]):
        state, postcode, kept = found["state"] or "", found["zip"], kept[: found.start()]
    if found := _UNIT.search(kept):
        unit, kept = found[1], f"{kept[: found.start()]},{kept[found.end() :]}"
    pieces = [" ".join(piece.split()) for piece in kept.split(",")]
    pieces = [piece for piece in pieces if piece not in _NOWHERE]
    if not state and pieces and (code := _state(pieces[-1].rpartition(" ")[2])):
        state = code
        pieces[-1] = pieces[-1].rpartition(" ")[0]
    if not pieces:
        return Address(state=state, postcode=postcode)
    number, street, rest = _street_among(pieces)
    rest = [piece for piece in rest if piece]
    city = rest[-1] if rest else ""
    return Address(number, street, unit, " ".join(rest), city, state, postcode)


def address(text: str) -> str:
    """An address in one line of USPS abbreviations; "" without a street and a house number.

    Equal for "123 North Main St., Apt 4, Boston, MA 02101" and
    "123 N MAIN STREET #4; BOSTON MASSACHUSETTS 02101-0001". A text that reads as another address
    each time it is written so is none.
    """
    for _ in range(_MOST_READINGS):
        before, text = text, _written(parse_address(text))
        if text == before:
            return text
    return ""


def _written(parts: Address) -> str:
    if not parts.number or not parts.street:
        return ""
    unit = f"#{parts.unit}" if parts.unit else ""
    pieces = [f"{parts.number} {parts.street}", unit, parts.rest, f"{parts.state} {parts.postcode}"]
    return ", ".join(piece.strip() for piece in pieces if piece.strip())


def _state(word: str) -> str:
    return word if word in STATE_CODES else STATES.get(word.lower(), "")


def _street_among(pieces: list[str]) -> tuple[str, str, list[str]]:
    """House number, street and the rest: the street may follow a building's name, "3 The Elms"."""
    number, street, rest = _street(pieces[0])
    if len(pieces) == 1 or street.rpartition(" ")[2] in _SUFFIXES:
        return number, street, [*rest, *pieces[1:]]
    number_2, street_2, rest_2 = _street(pieces[1])
    if street_2.rpartition(" ")[0] and street_2.rpartition(" ")[2] in _STREET_WORDS:
        building = " ".join([street, *rest]).strip()
        return number_2 or number, street_2, [building, *rest_2, *pieces[2:]]
    if number and not street and len(pieces) > 2:  # number, building, city
        return number, pieces[1], pieces[2:]
    return number, street, [*rest, *pieces[1:]]


def _street(piece: str) -> tuple[str, str, list[str]]:
    """House number, street in USPS abbreviations, and words after the street's suffix."""
    if _HOUSE_ALONE.fullmatch(piece):
        return piece, "", []
    found = _STREET.match(piece)
    number, words = (found["number"], found["street"].split()) if found else ("", piece.split())
    words = [_ORDINALS.get(word, word) for word in words]
    end = next((i for i in range(len(words) - 1, 0, -1) if words[i] in _SUFFIXES), len(words) - 1)
    rest = words[end + 1 :]
    if rest and rest[0] in _DIRECTIONS:
        end, rest = end + 1, rest[1:]
    street = [_DIRECTIONS.get(word, word) for word in words[: end + 1]]
    street = [_SUFFIXES.get(word, word) if i else word for i, word in enumerate(street)]
    return number, " ".join(street), rest


def city_start(city: str) -> str:
    """The first four letters of a city, its direction as one: "SOUTH BOSTON" is "SBOST"."""
    first, _, more = city.partition(" ")
    direction = _DIRECTIONS.get(first, "") if more else ""
    return direction + (more if direction else city).replace(" ", "")[:4]


def street_core(street: str) -> str:
    """A street's own name, without direction and suffix: "N MAIN ST" is "MAIN"."""
    words = street.split()
    if len(words) > 1 and words[-1] in _DIRECTIONS:
        words = words[:-1]
    if len(words) > 1 and words[-1] in _SUFFIXES:
        words = words[:-1]
    if len(words) > 1 and words[0] in _DIRECTIONS:
        words = words[1:]
    return " ".join(words)
