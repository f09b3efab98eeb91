"""The persons of a LEXS digest, each with what the record ties to them; the rest are items."""

from __future__ import annotations

from lxml import etree

from producers.sources.lexs_digest import (
    Association,
    Digest,
    ElementError,
    child_text,
    first_children,
    local,
    reference,
    text_in,
    text_of,
)
from producers.sources.lexs_things import issuer
from producers.sources.lexs_things import things as things_of
from producers.sources.times import ADULT, BadTimeError, birth_date, under_age
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, NameKind, SubjectRole

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


def people(digest: Digest) -> tuple[tuple[Subject, ...], tuple[Identifier, ...]]:
    """Return every subject, and the identifiers that belong to none of them."""
    persons = {**digest.by_id("Person"), **_without_id(digest)}
    roles = _roles(digest)
    things = things_of(digest)
    tied = _tied(digest, set(persons), set(things))
    subjects = tuple(
        _subject(
            element,
            roles.get(key, []),
            [thing for each in tied.get(key, ()) for thing in things[each]],
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
    person: etree._Element, roles: list[etree._Element], tied: list[Identifier]
) -> Subject:
    played = {_ROLES.get(local(each), SubjectRole.CONTACT) for each in roles}
    dates = person_birth_dates(person)
    own = [*documents(person), *(found for each in roles for found in documents(each))]
    return Subject(
        role=next((each for each in _PRECEDENCE if each in played), SubjectRole.UNKNOWN),
        names=person_names(person),
        birth_dates=dates,
        sex=child_text(person, "PersonSexCode"),
        identifiers=tuple(dict.fromkeys([*own, *tied])),
        minor=_is_minor(person, dates),
    )


def person_names(person: etree._Element) -> tuple[PersonName, ...]:
    """Every name of an nc:Person that says anything."""
    elements = person.iter("{*}PersonName", "{*}PersonAlternateName")
    return tuple(filter(_any_part, map(_name, elements)))


def person_birth_dates(person: etree._Element) -> tuple[str, ...]:
    """Every birth date of an nc:Person. Raises ElementError."""
    dates = map(_birth_date, person.iter("{*}PersonBirthDate"))
    return tuple(dict.fromkeys(filter(None, dates)))


def _name(element: etree._Element) -> PersonName:
    said = first_children(element)
    return PersonName(
        surname=text_in(said, "PersonSurName"),
        given=text_in(said, "PersonGivenName"),
        middle=text_in(said, "PersonMiddleName"),
        suffix=text_in(said, "PersonNameSuffixText"),
        full=text_in(said, "PersonFullName"),
        kind=_name_kind(element),
    )


def _name_kind(element: etree._Element) -> NameKind:
    said = "".join(text_of(each) for each in element.iter("{*}PersonNameCategoryText")).casefold()
    if any(word in said for word in _STREET_NAME_WORDS):
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


def documents(owner: etree._Element) -> list[Identifier]:
    """The numbers of the documents that stand within an element."""
    found = [
        (_DOCUMENTS[local(each)], child_text(each, "IdentificationID"), each)
        for each in owner.iter(*(f"{{*}}{name}" for name in _DOCUMENTS))
    ]
    return [
        Identifier(kind=kind, value=value, issuer=issuer(kind, each))
        for kind, value, each in found
        if value
    ]


def _is_minor(person: etree._Element, birth_dates: tuple[str, ...]) -> bool:
    """By the stated age in years, or by birth date."""
    for measure in person.iter("{*}PersonAgeMeasure"):
        age, unit = child_text(measure, "MeasurePointValue"), child_text(measure, "TimeUnitCode")
        if age.isdigit() and unit in ("", "ANN") and int(age) < ADULT:
            return True
    return under_age(birth_dates)
