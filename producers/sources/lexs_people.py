"""The persons of a LEXS digest, each with what the record ties to them; the rest are items."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from lxml import etree

from producers.sources.lexs_digest import (
    Association,
    Digest,
    ElementError,
    Within,
    child_text,
    first_children,
    local,
    reference,
    text_in,
    text_of,
)
from producers.sources.lexs_things import issuer
from producers.sources.times import ADULT, BadTimeError, birth_date, under_age
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, NameKind, SubjectRole
from silenthit.identity.dates import birth_year_at

_ROLES = {
    "Arrestee": SubjectRole.ARRESTEE,
    "ArrestSubject": SubjectRole.ARRESTEE,
    "Victim": SubjectRole.VICTIM,
    "IncidentVictim": SubjectRole.VICTIM,
    "Suspect": SubjectRole.SUSPECT,
    "Subject": SubjectRole.SUSPECT,
    "IncidentSubject": SubjectRole.SUSPECT,
    "Witness": SubjectRole.WITNESS,
    "IncidentWitness": SubjectRole.WITNESS,
    "EnforcementOfficial": SubjectRole.OFFICER,
    "ArrestOfficial": SubjectRole.OFFICER,
    "ItemOwner": SubjectRole.OWNER,
    "OtherInvolvedPerson": SubjectRole.CONTACT,
    "MissingPerson": SubjectRole.CONTACT,
}
# A person of several roles is held to the one that asks for most care.
_PRECEDENCE = (
    SubjectRole.VICTIM,
    SubjectRole.ARRESTEE,
    SubjectRole.SUSPECT,
    SubjectRole.OFFICER,
    SubjectRole.WITNESS,
    SubjectRole.OWNER,
    SubjectRole.CONTACT,
    SubjectRole.UNKNOWN,
)
_DOCUMENTS = {
    "PersonSSNIdentification": IdentifierKind.SSN,
    "PersonFBIIdentification": IdentifierKind.FBI_NUMBER,
    "PersonStateFingerprintIdentification": IdentifierKind.STATE_ID,
    "PersonStateIdentification": IdentifierKind.STATE_ID,
    "DriverLicenseIdentification": IdentifierKind.DRIVER_LICENCE,
    "PassportIdentification": IdentifierKind.PASSPORT,
    "PersonPassportIdentification": IdentifierKind.PASSPORT,
    "PersonAlienIdentification": IdentifierKind.A_NUMBER,
    "PersonOtherIdentification": IdentifierKind.OTHER,
    "EnforcementOfficialBadgeIdentification": IdentifierKind.OTHER,
}
_STREET_NAME_WORDS = ("moniker", "nick", "street", "gang")


def people(
    digest: Digest, things: Mapping[str, list[Identifier]], moment: datetime | None
) -> tuple[tuple[Subject, ...], tuple[Identifier, ...]]:
    """Return every subject, and of the `things` what belongs to none of them.

    An age counts from `moment`, when it happened: it tells the year of birth of whom nobody asked.
    """
    persons = {**digest.by_id("Person"), **_without_id(digest)}
    roles = _roles(digest)
    tied = _tied(digest, set(persons), set(things))
    subjects = tuple(
        _subject(
            element,
            roles.get(key, []),
            [thing for each in tied.get(key, ()) for thing in things[each]],
            moment,
        )
        for key, element in persons.items()
    )
    owned = {each for keys in tied.values() for each in keys}
    scenes = {ref for each in digest.associations for ref in _scenes(digest, each)}
    loose = [i for key, found in things.items() if key not in owned | scenes for i in found]
    return subjects, tuple(dict.fromkeys(loose))


def _scenes(digest: Digest, association: Association) -> list[str]:
    """Locations that an association ties to an activity: where it happened, not whose it is."""
    if not any(digest.is_a(ref, "Activity") for ref in association.refs):
        return []
    return [ref for ref in association.refs if digest.is_a(ref, "Location")]


def _without_id(digest: Digest) -> dict[str, etree._Element]:
    """Persons of the digest that nothing can refer to."""
    return {
        f"#{number}": each
        for number, each in enumerate(digest.all("Person"))
        if local(each.getparent()) == "EntityPerson"
        and not any(str(key).endswith("}id") for key in each.attrib)
    }


def _roles(digest: Digest) -> dict[str, list[etree._Element]]:
    found: dict[str, list[etree._Element]] = {}
    for each in digest.all("RoleOfPersonReference"):
        found.setdefault(reference(each), []).append(each.getparent())
    return found


def _tied(digest: Digest, persons: set[str], things: set[str]) -> dict[str, dict[str, None]]:
    """Person id → the things that any association ties to that person, each once, in order."""
    tied: dict[str, dict[str, None]] = {}
    for association in digest.associations:
        for person in persons.intersection(association.refs):
            tied.setdefault(person, {}).update(
                dict.fromkeys(ref for ref in association.refs if ref in things)
            )
    return tied


def _subject(
    person: etree._Element,
    roles: list[etree._Element],
    tied: list[Identifier],
    moment: datetime | None,
) -> Subject:
    played = {_ROLES.get(local(each), SubjectRole.CONTACT) for each in roles}
    within = Within(person)
    dates, age = person_birth_dates(within), _age(within)
    born = birth_year_at(age, moment.date()) if moment and not dates else ""
    own = [*documents(within), *(found for each in roles for found in documents(Within(each)))]
    return Subject(
        role=next((each for each in _PRECEDENCE if each in played), SubjectRole.UNKNOWN),
        names=person_names(within),
        birth_dates=(born,) if born else dates,
        sex=within.text("PersonSexCode"),
        identifiers=tuple(dict.fromkeys([*own, *tied])),
        minor=(age != "" and int(age) < ADULT) or under_age(dates),
    )


def person_names(person: Within) -> tuple[PersonName, ...]:
    """Every name of an nc:Person that says anything."""
    elements = person.named("PersonName", "PersonAlternateName")
    return tuple(filter(_any_part, map(_name, elements)))


def person_birth_dates(person: Within) -> tuple[str, ...]:
    """Every birth date of an nc:Person. Raises ElementError."""
    dates = map(_birth_date, person.named("PersonBirthDate"))
    return tuple(dict.fromkeys(filter(None, dates)))


def _name(element: etree._Element) -> PersonName:
    said = first_children(element)
    return PersonName(
        surname=text_in(said, "PersonSurName"),
        given=text_in(said, "PersonGivenName"),
        middle=text_in(said, "PersonMiddleName"),
        suffix=text_in(said, "PersonNameSuffixText"),
        full=text_in(said, "PersonFullName"),
        kind=_name_kind(element, text_in(said, "PersonNameCategoryText").casefold()),
    )


def _name_kind(element: etree._Element, category: str) -> NameKind:
    if any(word in category for word in _STREET_NAME_WORDS):
        return NameKind.STREET_NAME
    return NameKind.ALIAS if local(element) == "PersonAlternateName" else NameKind.LEGAL


def _any_part(name: PersonName) -> bool:
    return any((name.surname, name.given, name.middle, name.full))


def _birth_date(element: etree._Element) -> str:
    text = text_of(element)
    try:
        return birth_date(text) if text else ""
    except BadTimeError as error:
        raise ElementError(element, str(error), "correct the date in the record") from None


def documents(owner: Within) -> list[Identifier]:
    """The numbers of the documents that stand within an element."""
    found = [
        (_DOCUMENTS[local(each)], child_text(each, "IdentificationID"), each)
        for each in owner.named(*_DOCUMENTS)
    ]
    return [
        Identifier(kind=kind, value=value, issuer=issuer(kind, each))
        for kind, value, each in found
        if value
    ]


def _age(person: Within) -> str:
    """The stated age in whole years, the lowest if there are several; empty when there is none."""
    ages = [
        age
        for measure in person.named("PersonAgeMeasure")
        if (age := child_text(measure, "MeasurePointValue")).isdecimal()
        and child_text(measure, "TimeUnitCode") in ("", "ANN")
    ]
    return min(ages, key=int, default="")
