"""NIBRS as federal submissions and as state programs write it; files in the shape of the IEPD's."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from producers.records import Outcome, Record, Rejection, Withdrawal
from producers.sources.files import read
from producers.sources.mapping import ColumnMapping
from schemas.vocabulary import IdentifierKind, SubjectRole, TouchKind

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<nibrs:Submission xmlns:nibrs="http://fbi.gov/cjis/nibrs/{version}"
  xmlns:cjis="http://fbi.gov/cjis/1.0"
  xmlns:j="http://release.niem.gov/niem/domains/jxdm/5.2/"
  xmlns:nc="http://release.niem.gov/niem/niem-core/{niem}/"
  xmlns:s="http://release.niem.gov/niem/structures/{niem}/">
  <cjis:MessageMetadata><cjis:MessageIdentification>
    <nc:IdentificationID>123</nc:IdentificationID>
  </cjis:MessageIdentification></cjis:MessageMetadata>
"""
REPORT_HEAD = """<nibrs:Report><nibrs:ReportHeader>
  <nibrs:NIBRSReportCategoryCode>{category}</nibrs:NIBRSReportCategoryCode>
  <nibrs:ReportActionCategoryCode>{action}</nibrs:ReportActionCategoryCode>
  <nibrs:ReportingAgency><j:OrganizationAugmentation><j:OrganizationORIIdentification>
    <nc:IdentificationID>VT0040100</nc:IdentificationID>
  </j:OrganizationORIIdentification></j:OrganizationAugmentation></nibrs:ReportingAgency>
</nibrs:ReportHeader>"""
INCIDENT = """<nc:Incident>
  <nc:ActivityIdentification><nc:IdentificationID>{number}</nc:IdentificationID>
  </nc:ActivityIdentification>
  <nc:ActivityDate><nc:DateTime>2026-02-19T10:00:00</nc:DateTime></nc:ActivityDate>
</nc:Incident><j:Offense s:id="O1"><nibrs:OffenseUCRCode>64A</nibrs:OffenseUCRCode></j:Offense>"""
PERSON = """<nc:Person s:id="{id}"><nc:PersonAgeMeasure>
  <nc:MeasureIntegerValue>{age}</nc:MeasureIntegerValue></nc:PersonAgeMeasure>{more}
  <j:PersonSexCode>F</j:PersonSexCode></nc:Person>"""
NAME = """<nc:PersonName><nc:PersonGivenName>{given}</nc:PersonGivenName>
  <nc:PersonSurName>{surname}</nc:PersonSurName></nc:PersonName>"""
SSN = """<nc:PersonSSNIdentification><nc:IdentificationID>123-45-6789</nc:IdentificationID>
  </nc:PersonSSNIdentification>"""
ROLE = """<j:{role} s:id="{role}1"><nc:RoleOfPerson s:ref="{id}"/></j:{role}>"""
ARREST = """<j:Arrest s:id="A1"><nc:ActivityIdentification>
  <nc:IdentificationID>ATN-7</nc:IdentificationID></nc:ActivityIdentification>
  <nc:ActivityDate><nc:Date>2026-02-28</nc:Date></nc:ActivityDate>
  <j:ArrestCharge><nibrs:ChargeUCRCode>35A</nibrs:ChargeUCRCode></j:ArrestCharge></j:Arrest>"""
END = "</nibrs:Report>"


def report(*parts: str, category: str = "GROUP A INCIDENT REPORT", action: str = "I") -> str:
    return REPORT_HEAD.format(category=category, action=action) + "".join(parts) + END


def outcomes(folder: Path, *reports: str, version: str = "4.2", niem: str = "3.0") -> list[Outcome]:
    path = folder / "nibrs.xml"
    text = HEAD.format(version=version, niem=niem) + "".join(reports) + "</nibrs:Submission>"
    path.write_text(text, "utf-8")
    return list(read(path, ColumnMapping(), UTC))


def person(key: str, age: int, *more: str) -> str:
    return PERSON.format(id=key, age=age, more="".join(more))


NAMED = report(
    INCIDENT.format(number="26-0042"),
    person("V", 14, NAME.format(given="Bea", surname="Li")),
    person("X", 30, NAME.format(given="Ana", surname="Ro"), SSN),
    ROLE.format(role="Victim", id="V"),
    ROLE.format(role="Arrestee", id="X"),
    ARREST,
)


def test_a_state_report_with_names_gives_its_subjects_roles_and_offences(tmp_path):
    for version, niem in (("4.2", "3.0"), ("2025.0", "4.0")):
        [record] = outcomes(tmp_path, NAMED, version=version, niem=niem)
        assert isinstance(record, Record)
        assert (record.number, record.kind) == ("26-0042", TouchKind.ARREST)
        assert record.occurred_at == datetime(2026, 2, 28, tzinfo=UTC)
        assert record.offences == ("64A", "35A")
        assert record.contact.ori == "VT0040100"
        victim, arrestee = record.subjects
        assert (victim.role, victim.minor) == (SubjectRole.VICTIM, True)
        assert (arrestee.role, arrestee.minor) == (SubjectRole.ARRESTEE, False)
        assert arrestee.names[0].surname == "Ro"
        assert [each.kind for each in arrestee.identifiers] == [IdentifierKind.SSN]
        assert arrestee.birth_dates[0][:3] == "199"


def test_a_federal_report_names_nobody_and_says_so(tmp_path):
    bare = report(INCIDENT.format(number="1"), person("X", 30), ROLE.format(role="Subject", id="X"))
    rejection, record = outcomes(tmp_path, bare, NAMED)
    assert isinstance(rejection, Rejection)
    assert "a federal NIBRS submission carries none" in str(rejection)
    assert isinstance(record, Record)


def test_group_b_goes_by_its_arrest_number_a_delete_takes_back_and_zero_is_nothing(tmp_path):
    arrest = report(
        person("X", 30, SSN), ROLE.format(role="Arrestee", id="X"), ARREST,
        category="GROUP B ARREST REPORT", action="A",
    )  # fmt: skip
    delete = report(INCIDENT.format(number="26-0042"), action="D")
    zero = report(category="ZERO REPORT", action="A")
    taken, withdrawn = outcomes(tmp_path, arrest, delete, zero)
    assert isinstance(taken, Record)
    assert taken.number == "ATN-7"
    assert withdrawn == Withdrawal(number="26-0042")


def test_a_report_without_a_number_spares_the_others_and_a_cut_off_file_keeps_what_came_before(
    tmp_path,
):
    rejection, record = outcomes(tmp_path, report(), NAMED)
    assert "transaction number" in str(rejection)
    assert isinstance(record, Record)
    path = tmp_path / "nibrs.xml"
    path.write_text(path.read_text("utf-8").removesuffix("</nibrs:Submission>"), "utf-8")
    *_, record, last = read(path, ColumnMapping(), UTC)
    assert isinstance(record, Record)
    assert "well-formed XML" in str(last)


def test_a_document_type_is_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "nibrs.xml"
    text = HEAD.format(version="4.2", niem="3.0") + NAMED + "</nibrs:Submission>"
    path.write_text(text.replace("?>\n", '?>\n<!DOCTYPE x [<!ENTITY a "b">]>\n', 1), "utf-8")
    [rejection] = read(path, ColumnMapping(), UTC)
    assert "no document type declaration" in str(rejection)
