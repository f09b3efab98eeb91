"""Names, numbers, dates, addresses and narratives as people write them."""

from __future__ import annotations

from producers.narrative import read_narrative
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, NameKind, is_strong
from silenthit.identity import normalise
from silenthit.identity.compare import compare
from silenthit.identity.grid_references import mgrs
from silenthit.identity.match_keys import MAX_WEAK, match_keys
from silenthit.identity.names import formal_name, parse_full, sound
from silenthit.identity.names_alike import names_alike
from silenthit.identity.places import coordinates, located, place_key
from silenthit.identity.vehicles import vin_checks
from tests.properties.test_identity import NORMALISERS

KINDS = list(IdentifierKind)


def identity(data: bytes) -> None:
    """Each normaliser on the whole text; then its lines as the fields of two people."""
    text = data.decode("utf-8", "replace")
    for normaliser in NORMALISERS:
        once = normaliser(text)
        assert normaliser(once) == once, normaliser.__name__
    lines = text.split("\n")
    issuer, area_code = lines[-1], lines[0][:3]
    for kind in KINDS:
        normalise.identifier(Identifier(kind=kind, value=text, issuer=issuer), area_code=area_code)
    _places(text)
    assert 0 <= names_alike(lines[0], issuer) <= 1
    for part in parse_full(text).given:
        formal_name(part), sound(part)
    vin_checks(text)
    one, other = _subject(lines), _subject(lines[::-1])
    for subject in (one, other):
        keys = match_keys(subject, area_code=area_code)
        assert len(set(keys)) == len(keys)
        assert sum(not is_strong(key.kind) for key in keys) <= MAX_WEAK
        assert all(key.value for key in keys)
    assert 0 <= compare(one, other).probability <= 1
    reading = read_narrative(text)
    assert all(subject.mentioned for subject in reading.subjects)
    assert all(each.value in text for each in reading.items)


def _places(text: str) -> None:
    for found in (coordinates(text), mgrs(text)):
        assert found is None or (-90 <= found[0] <= 90 and -180 <= found[1] <= 180)
    place_key(located(text, text))


def _subject(lines: list[str]) -> Subject:
    """Of the lines, in order: names, an alias, a street name, dates, identifiers of every kind."""
    surname, given, full, alias, street, born, other, *more = [*lines, *[""] * 7][:40]
    return Subject(
        names=(
            PersonName(surname=surname, given=given),
            PersonName(full=full),
            PersonName(full=alias, kind=NameKind.ALIAS),
            PersonName(full=street, kind=NameKind.STREET_NAME),
        ),
        birth_dates=(born, other),
        identifiers=tuple(
            Identifier(kind=KINDS[number % len(KINDS)], value=value, issuer=given)
            for number, value in enumerate(more)
        ),
    )
