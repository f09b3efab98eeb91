"""NIBRS XML (FBI NIBRS IEPD 4.x to 2025.0): incident and Group B arrest reports, read one by one.

A federal submission names nobody: age, sex, race. State programs' editions of it carry names,
birth dates, documents and plates in the same segments, and those are read; a report without any is
rejected with the reason. Source: FBI NIBRS IEPD, nibrs_XMLMapping; NIEM 3.0 and 4.0 niem-core.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path

from lxml import etree

from producers.records import Contact, Outcome, Place, Record, Rejection, Withdrawal
from producers.sources.lexs_digest import (
    ElementError,
    Within,
    child_text,
    local,
    reference,
    text_of,
)
from producers.sources.lexs_people import documents, person_birth_dates, person_names
from producers.sources.lexs_things import telephone
from producers.sources.safe_xml import UnsafeXmlError, elements
from producers.sources.times import ADULT, BadTimeError, aware, under_age
from schemas.parts import Identifier, Subject
from schemas.vocabulary import NIBRS_OFFENCES, IdentifierKind, SubjectRole, TouchKind
from silenthit.identity.dates import birth_year_at

_ROOT = b"Submission"
_HEAD = 4096
_DELETE = "D"
# A person of several roles is held to the one that asks for most care: victims come first.
_ROLES = {
    "Victim": SubjectRole.VICTIM,
    "Arrestee": SubjectRole.ARRESTEE,
    "Subject": SubjectRole.SUSPECT,
}
_BABIES = {"NEONATAL", "NEWBORN", "BABY", "NN", "NB", "BB"}
_VEHICLE = {
    "ConveyanceRegistrationPlateIdentification": IdentifierKind.PLATE,
    "VehicleIdentification": IdentifierKind.VIN,
}


def is_nibrs(path: Path) -> bool:
    """Whether a document begins as a NIBRS submission does."""
    with path.open("rb") as file:
        head = file.read(_HEAD).replace(b"\0", b"")
    return b"/nibrs/" in head and _ROOT in head


def read(path: Path, timezone: tzinfo) -> Iterator[Outcome]:
    """Yield an outcome for each report; `timezone` is for times without one."""
    try:
        for report in elements(path, "Report"):
            outcome = _outcome(report, path.name, timezone)
            if outcome is not None:
                yield outcome
    except UnsafeXmlError as error:
        where = f"line {error.line}" if error.line else ""
        yield Rejection(Place(path.name, where), error.expected, error.remedy)


def _outcome(report: etree._Element, name: str, timezone: tzinfo) -> Outcome | None:
    """The record of one report; None for one of no incident (ZERO REPORT)."""
    if child_text(report, "NIBRSReportCategoryCode").upper().startswith("ZERO"):
        return None
    try:
        return _record(report, name, timezone)
    except ElementError as error:
        where = f"element {error.element} at line {error.line}"
        return Rejection(Place(name, where), error.expected, error.remedy)


def _record(report: etree._Element, name: str, timezone: tzinfo) -> Outcome:
    incident = next(report.iter("{*}Incident"), None)
    arrests = list(report.iterchildren("{*}Arrest"))
    main = incident if incident is not None else next(iter(arrests), None)
    number = "" if main is None else child_text(main, "IdentificationID")
    if main is None or not number:
        raise ElementError(
            report, "an incident or arrest transaction number", "export it with the report"
        )
    if child_text(report, "ReportActionCategoryCode").upper() == _DELETE:
        return Withdrawal(number=number)
    moment = _moment(arrests[0] if arrests else main, timezone)
    subjects = _subjects(report, moment)
    items = _vehicles(report)
    place = f"{name}, line {report.sourceline}"
    if not items and not any(each.names or each.identifiers for each in subjects):
        return Rejection(
            Place(place),
            "a report with names, documents or plates; a federal NIBRS submission carries none",
            "take your state program's edition that does, or export LEXS or N-DEx instead",
        )
    return Record(
        number=number,
        kind=TouchKind.ARREST if arrests else TouchKind.INCIDENT,
        occurred_at=moment,
        contact=Contact(ori=_ori(report), case_number=number),
        subjects=subjects,
        items=items,
        offences=_offences(report),
        read_from=place,
    )


def _ori(report: etree._Element) -> str:
    agency = next(report.iter("{*}ReportingAgency"), None)
    return "" if agency is None else child_text(agency, "IdentificationID")


def _moment(activity: etree._Element, timezone: tzinfo) -> datetime | None:
    """When it happened, to the hour or the day, as the segment says."""
    for element in activity.iter("{*}DateTime", "{*}Date"):
        try:
            return aware(text_of(element), timezone)
        except BadTimeError as error:
            raise ElementError(element, str(error), "correct the date in the record") from None
    return None


def _offences(report: etree._Element) -> tuple[str, ...]:
    written = (text_of(each) for each in report.iter("{*}OffenseUCRCode", "{*}ChargeUCRCode"))
    return tuple(dict.fromkeys(code for code in written if code in NIBRS_OFFENCES))


def _subjects(report: etree._Element, moment: datetime | None) -> tuple[Subject, ...]:
    """Every person of the report but one known only by age and sex beside somebody named."""
    roles: dict[str, set[str]] = {}
    for segment in report.iterchildren("{*}Victim", "{*}Arrestee", "{*}Subject"):
        for each in segment.iter("{*}RoleOfPerson", "{*}RoleOfPersonReference"):
            roles.setdefault(reference(each), set()).add(local(segment))
    subjects = (
        _subject(each, roles.get(_id(each), set()), moment)
        for each in report.iterchildren("{*}Person")
    )
    return tuple(each for each in subjects if each.names or each.identifiers)


def _id(element: etree._Element) -> str:
    return next((str(v) for k, v in element.items() if str(k).endswith("}id")), "")


def _subject(person: etree._Element, roles: set[str], moment: datetime | None) -> Subject:
    age, within = _age(person), Within(person)
    dates = person_birth_dates(within)
    born = birth_year_at(str(age), moment.date()) if age is not None and moment else ""
    found = documents(within)
    phones = (telephone(each) for each in person.iter("{*}ContactTelephoneNumber"))
    found += [Identifier(kind=IdentifierKind.PHONE, value=each) for each in phones if each]
    return Subject(
        role=next((role for name, role in _ROLES.items() if name in roles), SubjectRole.UNKNOWN),
        names=person_names(within),
        birth_dates=dates or ((born,) if born else ()),
        sex=child_text(person, "PersonSexCode"),
        identifiers=tuple(dict.fromkeys(found)),
        minor=under_age(dates) if dates else age is not None and age < ADULT,
    )


def _age(person: etree._Element) -> int | None:
    """The age in years as written, None for a range or when it is not known."""
    measure = next(person.iter("{*}PersonAgeMeasure"), None)
    if measure is None:
        return None
    said = child_text(measure, "MeasureValueText").upper()
    if said in _BABIES:
        return 0
    with suppress(ValueError):
        return int(child_text(measure, "MeasureIntegerValue") or said)
    return None


def _vehicles(report: etree._Element) -> tuple[Identifier, ...]:
    found = [
        Identifier(
            kind=kind,
            value=child_text(each, "IdentificationID"),
            issuer=child_text(each, "IdentificationJurisdictionText"),
        )
        for name, kind in _VEHICLE.items()
        for each in report.iter(f"{{*}}{name}")
    ]
    return tuple(dict.fromkeys(each for each in found if each.value))
