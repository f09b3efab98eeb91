"""A subject ready to be compared: every field normalised once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, NameKind
from silenthit.identity.addresses import Address, parse_address
from silenthit.identity.dates import birth_date
from silenthit.identity.names import parse, street_name
from silenthit.identity.normalise import identifier

_LOCAL = 7
_SEXES = {"m": "m", "male": "m", "man": "m", "f": "f", "female": "f", "woman": "f", "w": "f"}


@dataclass(frozen=True, slots=True)
class Name:
    """One name in lower-case words, the surname joined; the repr hides it."""

    given: str
    middle: str
    surname: str
    parts: tuple[str, ...]  # words of the surname
    suffix: str
    whole: str  # all words, the given names first

    def __repr__(self) -> str:
        return "Name()"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `compare` looks at; the repr hides it."""

    names: tuple[Name, ...]
    street_names: frozenset[str]
    birth_dates: tuple[str, ...]
    sex: str
    numbers: dict[IdentifierKind, frozenset[str]]
    addresses: tuple[Address, ...]
    mentioned: bool

    def __repr__(self) -> str:
        return "Prepared()"


def prepare(subject: Subject, *, items: Sequence[Identifier] = ()) -> Prepared:
    """Normalise a subject; `items` are identifiers of the touch tied to no subject."""
    numbers: dict[IdentifierKind, set[str]] = {}
    addresses = []
    for each in (*subject.identifiers, *items):
        if each.kind is IdentifierKind.ADDRESS:
            addresses.append(parse_address(each.value))
        elif value := identifier(each) or _local_phone(each):
            numbers.setdefault(each.kind, set()).add(value)
    legal = [each for each in subject.names if each.kind is not NameKind.STREET_NAME]
    street = [each for each in subject.names if each.kind is NameKind.STREET_NAME]
    return Prepared(
        names=tuple(filter(None, map(_name, legal))),
        street_names=frozenset(
            filter(None, (street_name(each.full or each.given) for each in street))
        ),
        birth_dates=tuple(filter(None, map(birth_date, subject.birth_dates))),
        sex=_SEXES.get(subject.sex.strip().lower(), ""),
        numbers={kind: frozenset(values) for kind, values in numbers.items()},
        addresses=tuple(addresses),
        mentioned=subject.mentioned,
    )


def _local_phone(written: Identifier) -> str:
    """Seven digits of a telephone number whose area code only the agency knows."""
    digits = "".join(sign for sign in written.value if sign in "0123456789")
    return digits if written.kind is IdentifierKind.PHONE and len(digits) == _LOCAL else ""


def _name(written: PersonName) -> Name | None:
    parts = parse(written)
    if not parts.given and not parts.surname:
        return None
    given, *middle = parts.given or ("",)
    whole = " ".join((*parts.given, *parts.surname))
    surname = "".join(parts.surname)
    return Name(given, " ".join(middle), surname, parts.surname, parts.suffix, whole)
