"""LEXS 3.1 / NIEM 2.0 XML, so N-DEx too: every person, phone, vehicle and number of the digest.

Read by local names, so that versions of LEXS, NIEM and JXDM that only moved a namespace still read.
Source: LEXS 3.1.4 User Guide, "Digest"; NIEM 2.0 niem-core; N-DEx IncidentArrest 2.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from pathlib import Path

from lxml import etree

from producers.records import Contact, Outcome, Place, Record, Rejection, Withdrawal
from producers.sources.lexs_digest import Digest, ElementError, child_text, text_of
from producers.sources.lexs_people import people
from producers.sources.lexs_things import telephone, things
from producers.sources.safe_xml import MAX_BYTES, UnsafeXmlError, elements, parse
from producers.sources.times import BadTimeError, aware
from schemas.parts import Identifier
from schemas.vocabulary import NIBRS_OFFENCES, TouchKind
from silenthit.identity.places import located

_CATEGORIES = {
    "arrest": TouchKind.ARREST,
    "booking": TouchKind.BOOKING,
    "custody": TouchKind.BOOKING,
    "incarceration": TouchKind.BOOKING,
    "citation": TouchKind.CITATION,
    "field contact": TouchKind.FIELD_CONTACT,
    "field interview": TouchKind.FIELD_CONTACT,
    "incident": TouchKind.INCIDENT,
    "traffic": TouchKind.TRAFFIC_STOP,
    "traffic stop": TouchKind.TRAFFIC_STOP,
    "release": TouchKind.RELEASE,
}
# What an N-DEx payload is called, or holds, where the digest says no more than "incident".
_PAYLOADS = {
    "ArrestReport": TouchKind.ARREST,
    "BookingReport": TouchKind.BOOKING,
    "Booking": TouchKind.BOOKING,
    "Incarceration": TouchKind.BOOKING,
}
_COORDINATES = ("MGRSCoordinateStringText", "LatitudeDegreeValue")
_OFFENCE_ELEMENTS = ("OffenseCode", "NIBRSOffenseCode", "OffenseUCRCode", "OffenseText")
_OFFENCE_BY_TITLE = {title.casefold(): code for code, title in NIBRS_OFFENCES.items()}


def read(path: Path, timezone: tzinfo) -> Iterator[Outcome]:
    """Yield an outcome for each data item package; `timezone` is for times without one."""
    if path.stat().st_size > MAX_BYTES:
        yield from _streamed(path, timezone)
    else:
        yield from read_bytes(path.read_bytes(), path.name, timezone)


def _streamed(path: Path, timezone: tzinfo) -> Iterator[Outcome]:
    """The same, one package in memory at a time: what came before a broken end is taken."""
    found = False
    try:
        for package in elements(path, "DataItemPackage"):
            found = True
            yield _outcome(package, path.name, timezone)
    except UnsafeXmlError as error:
        yield Rejection(Place(path.name, f"line {error.line}"), error.expected, error.remedy)
        return
    if not found:
        yield _no_package(path.name)


def read_bytes(data: bytes, name: str, timezone: tzinfo) -> Iterator[Outcome]:
    """Yield an outcome for each data item package of a document called `name`."""
    try:
        root = parse(data)
    except UnsafeXmlError as error:
        where = f"line {error.line}" if error.line else ""
        yield Rejection(Place(name, where), error.expected, error.remedy)
        return
    packages = list(root.iter("{*}DataItemPackage"))
    if not packages:
        yield _no_package(name)
    for package in packages:
        yield _outcome(package, name, timezone)


def _no_package(name: str) -> Rejection:
    return Rejection(
        Place(name),
        "a LEXS 3.1 document with a lexs:DataItemPackage, or a NIBRS submission",
        "export as LEXS, or give a mapping for CSV",
    )


def _outcome(package: etree._Element, name: str, timezone: tzinfo) -> Outcome:
    try:
        return _record(Digest(package), f"{name}, line {package.sourceline}", timezone)
    except ElementError as error:
        where = f"element {error.element} at line {error.line}"
        return Rejection(Place(name, where), error.expected, error.remedy)


def _record(digest: Digest, read_from: str, timezone: tzinfo) -> Record | Withdrawal:
    number = digest.first_text("DataItemID") or digest.first_text("DataItemReferenceID")
    if not number:
        raise ElementError(
            digest.package,
            "a record number in lexs:DataItemID",
            "export the number with the record",
        )
    if digest.first_text("DataItemPublishInstruction").casefold() == "delete":
        return Withdrawal(number=number)
    occurred_at, found = _occurred_at(digest, timezone), things(digest)
    subjects, items = people(digest, found, occurred_at)
    offences, remarks = _offences(digest)
    return Record(
        number=number,
        kind=_kind(digest),
        occurred_at=occurred_at,
        place=_place(digest, found),
        contact=_contact(digest, number),
        subjects=subjects,
        items=items,
        offences=offences,
        narrative="\n".join(dict.fromkeys([*digest.texts("ActivityDescriptionText"), *remarks])),
        read_from=read_from,
    )


def _kind(digest: Digest) -> TouchKind:
    """The most telling of what the record calls itself: codes, activities, then N-DEx's payload."""
    named = [
        *digest.texts("IncidentCategoryCode"),
        *digest.texts("ActivityCategoryText"),
        *digest.texts("DataItemCategoryText"),
    ]
    kinds = [kind for each in named if (kind := _category(each))]
    kinds += [kind for name, kind in _PAYLOADS.items() if digest.all(name)]
    return next((each for each in kinds if each is not TouchKind.INCIDENT), TouchKind.INCIDENT)


def _category(written: str) -> TouchKind | None:
    text = " ".join(written.casefold().replace("-", " ").split())
    return _CATEGORIES.get(text.removesuffix(" report").removesuffix(" record"))


def _occurred_at(digest: Digest, timezone: tzinfo) -> datetime | None:
    for activity in digest.all("Activity"):
        for element in activity.iter("{*}DateTime", "{*}Date"):
            try:
                return aware(text_of(element), timezone)
            except BadTimeError as error:
                raise ElementError(element, str(error), "correct the date in the record") from None
    return None


def _place(digest: Digest, found: Mapping[str, list[Identifier]]) -> str:
    """Where it happened: the location that an association ties to an activity."""
    locations = digest.by_id("Location")
    for association in digest.associations:
        if any(digest.is_a(ref, "Activity") for ref in association.refs):
            for ref in association.refs:
                if ref in locations:
                    place = next((each.value for each in found[ref]), "")
                    if not any(digest.all(each) for each in _COORDINATES):
                        return place
                    return located(place, _coordinates(locations[ref]))
    return ""


def _coordinates(location: etree._Element) -> str:
    """The coordinates of an nc:Location: MGRS, or degrees, minutes and seconds, signed."""
    if grid := child_text(location, "MGRSCoordinateStringText"):
        return grid
    return " ".join(_angle(location, *each) for each in (("Latitude", "NS"), ("Longitude", "EW")))


def _angle(location: etree._Element, name: str, sides: str) -> str:
    units = (child_text(location, f"{name}{unit}Value") for unit in ("Degree", "Minute", "Second"))
    written = " ".join(filter(None, units))
    return f"{written.removeprefix('-')} {sides[written.startswith('-')]}"


def _offences(digest: Digest) -> tuple[tuple[str, ...], list[str]]:
    """NIBRS codes, and what is written of an offence but is no code or title of one."""
    codes: list[str] = []
    remarks: list[str] = []
    for written in (text for each in _OFFENCE_ELEMENTS for text in digest.texts(each)):
        code = _OFFENCE_BY_TITLE.get(written.casefold(), written.upper())
        (codes if code in NIBRS_OFFENCES else remarks).append(
            code if code in NIBRS_OFFENCES else written
        )
    return tuple(dict.fromkeys(codes)), remarks


def _contact(digest: Digest, number: str) -> Contact:
    """Who answers for the record: its own contact, else the data owner's."""
    owner = digest.first("DataOwnerMetadata")
    person = digest.first("DataItemContact")
    if person is None:
        person = digest.first("DataOwnerContact")
    phones = [] if person is None else list(person.iter("{*}ContactTelephoneNumber"))
    return Contact(
        ori="" if owner is None else child_text(owner, "ORI"),
        agency="" if owner is None else child_text(owner, "OrganizationName"),
        unit=digest.first_text("EnforcementUnitBeatIdentification"),
        name="" if person is None else _contact_name(person),
        phone=telephone(phones[0]) if phones else "",
        email="" if person is None else child_text(person, "ContactEmailID"),
        case_number=digest.first_text("IncidentCaseNumberText") or number,
    )


def _contact_name(person: etree._Element) -> str:
    parts = (child_text(person, each) for each in ("PersonGivenName", "PersonSurName"))
    return child_text(person, "PersonFullName") or " ".join(filter(None, parts))
