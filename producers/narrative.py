"""People and identifiers out of the free text of a report.

    >>> reading = read_narrative("S/M JOHN DOE AKA 'RED' DOB 010280 op. a blk Honda MA reg 1ABC23")
    >>> [each.value for each in reading.items], reading.subjects[0].birth_dates
    (['1ABC23'], ('1980-01-02',))

Rules, and tables of names: a model of a few hundred megabytes would have to run in every agency's
records system, see docs/decisions. What is found is *mentioned*, so weaker evidence than what the
record's own fields say, and what those fields say already is not said again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from producers.narrative_names import Mention, names_in
from producers.narrative_patterns import (
    AT_HANDLE,
    BIRTH,
    HANDLE,
    PHONE,
    PLAIN,
    PLATE,
    PLATE_OF_VEHICLE,
    PLATE_WORD,
    PRICE,
    STATE_BEFORE,
    STATE_SIGNS,
    STREET,
    STREET_NAMES,
)
from producers.narrative_words import NEVER
from producers.records import Record
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, NameKind
from silenthit.identity.dates import birth_date
from silenthit.identity.jurisdictions import jurisdiction
from silenthit.identity.names import name as plain_name
from silenthit.identity.names import parse, parse_full
from silenthit.identity.normalise import identifier, phone


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a narrative says. Subjects are marked as mentioned; items are tied to none of them."""

    subjects: tuple[Subject, ...]
    items: tuple[Identifier, ...]
    prices: tuple[str, ...]
    places: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Reading({len(self.subjects)} subjects, {len(self.items)} items)"


def with_narrative(record: Record, *, area_code: str = "") -> Record:
    """Add to a record the people and identifiers that only its narrative mentions."""
    reading = read_narrative(record.narrative, record=record, area_code=area_code)
    return record.model_copy(
        update={
            "subjects": (*record.subjects, *reading.subjects),
            "items": (*record.items, *reading.items),
        }
    )


def read_narrative(text: str, *, record: Record | None = None, area_code: str = "") -> Reading:
    """Find names, birth dates, street names, phones, e-mails, plates, handles, prices and places.

    Also cash tags, payment pages and IMEIs. What the record's own fields hold already is left out,
    the agency's contact included.
    """
    items, taken = _identifiers(text, area_code)
    places = list(STREET.finditer(text))
    taken += [match.span() for match in places]
    nicknames = list(_street_names(text))
    taken += [(each.start, each.end) for each in nicknames]
    subjects = _subjects(text, names_in(text, taken=taken), nicknames)
    if record is not None:
        subjects = [each for each in subjects if not _known(each, record)]
        items = _unknown(items, record, area_code)
    return Reading(
        subjects=tuple(subjects),
        items=tuple(items),
        prices=tuple(dict.fromkeys(match[0] for match in PRICE.finditer(text))),
        places=tuple(dict.fromkeys(match[0] for match in places)),
    )


def _identifiers(text: str, area_code: str) -> tuple[list[Identifier], list[tuple[int, int]]]:
    """Identifiers in order of kind, and the spans that they take."""
    found: dict[tuple[IdentifierKind, str], Identifier] = {}
    spans: list[tuple[int, int]] = []
    covered = bytearray(len(text))
    for each, (start, end) in _matches(text, area_code):
        if any(covered[start:end]):
            continue
        if value := identifier(each, area_code=area_code):
            spans.append((start, end))
            covered[start:end] = b"\1" * (end - start)
            found.setdefault((each.kind, value), each)
    return list(found.values()), spans


def _matches(text: str, area_code: str) -> Iterator[tuple[Identifier, tuple[int, int]]]:
    kinds = IdentifierKind
    low = text.lower()
    for kind, pattern, signs in PLAIN:
        for match in pattern.finditer(text) if any(sign in low for sign in signs) else ():
            group = match.lastindex or 0
            yield Identifier(kind=kind, value=match[group]), match.span(group)
    for match in PHONE.finditer(text):
        if phone(match[0], area_code):
            yield Identifier(kind=kinds.PHONE, value=match[0]), match.span()
    for match in (*_plates(text), *PLATE_OF_VEHICLE.finditer(text)):
        issuer = jurisdiction(match["state"] or match.groupdict().get("after") or "")
        found = Identifier(kind=kinds.PLATE, value=match["plate"], issuer=issuer)
        yield found, match.span("plate")
    for match in HANDLE.finditer(text):
        handle, platform = match["handle"], match["platform"]
        yield (
            Identifier(kind=kinds.SOCIAL_HANDLE, value=handle.lstrip("@"), issuer=platform.lower()),
            match.span("handle"),
        )
    for match in AT_HANDLE.finditer(text) if "@" in text else ():
        yield Identifier(kind=kinds.SOCIAL_HANDLE, value=match[0].lstrip("@")), match.span()


def _plates(text: str) -> Iterator[re.Match[str]]:
    """Plates behind a word for one, tried only there: fifty states could begin at any word."""
    free = 0
    for word in PLATE_WORD.finditer(text):
        cue = word.start()
        if cue < free:
            continue
        state = STATE_BEFORE.search(text, max(free, cue - STATE_SIGNS), cue)
        found = (state and PLATE.match(text, state.start())) or PLATE.match(text, cue)
        if found:
            free = found.end()
            yield found


def _street_names(text: str) -> Iterator[Mention]:
    for pattern in STREET_NAMES:
        for match in pattern.finditer(text):
            group = "quoted" if match["quoted"] else "bare"
            if group == "quoted" or match[group].lower() not in NEVER:
                yield Mention(match[group], *match.span(group))


def _subjects(text: str, names: list[Mention], nicknames: list[Mention]) -> list[Subject]:
    """One subject a name, with the birth date and street names that follow it; the rest alone."""
    subjects = []
    left = {(each.start, each.end): each for each in nicknames}
    for number, each in enumerate(names):
        end = names[number + 1].start if number + 1 < len(names) else len(text)
        own = [name for name in left.values() if each.start <= name.start < min(end, each.end + 30)]
        for name in own:
            del left[name.start, name.end]
        born = BIRTH.search(text[each.end : min(end, each.end + 60)])
        subjects.append(_subject(each.text, [name.text for name in own], born[1] if born else ""))
    subjects += [_subject("", [text], "") for text in dict.fromkeys(n.text for n in left.values())]
    return subjects


def _subject(full: str, street_names: Sequence[str], born: str) -> Subject:
    names = [PersonName(full=full)] if full else []
    names += [PersonName(full=each, kind=NameKind.STREET_NAME) for each in street_names]
    day = birth_date(born)
    return Subject(names=tuple(names), birth_dates=(day,) if day else (), mentioned=True)


def _known(subject: Subject, record: Record) -> bool:
    """Whether the record's own subjects, or its contact, have this name."""
    words = _name_words(subject.names[0])
    own = [name for each in record.subjects for name in each.names]
    own.append(PersonName(full=record.contact.name))
    return any(
        (words and words <= _name_words(name)) or _same_ends(subject.names[0], name) for name in own
    )


def _name_words(written: PersonName) -> frozenset[str]:
    fields = f"{written.given} {written.middle} {written.surname} {written.full}"
    return frozenset(plain_name(fields).split())


def _same_ends(one: PersonName, other: PersonName) -> bool:
    a, b = parse_full(one.full), parse(other)
    known = bool(a.given and b.given and a.surname)
    return known and a.given[0] == b.given[0] and a.surname == b.surname


def _unknown(items: list[Identifier], record: Record, area_code: str) -> list[Identifier]:
    if not items:
        return []
    own = {
        (each.kind, identifier(each, area_code=area_code))
        for written in (record.items, *(subject.identifiers for subject in record.subjects))
        for each in written
    }
    own |= {
        (IdentifierKind.PHONE, phone(record.contact.phone, area_code)),
    }
    return [each for each in items if (each.kind, identifier(each, area_code=area_code)) not in own]
