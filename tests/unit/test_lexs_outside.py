"""All outside LEXS files, counted by other means: every tag of a kind, following nothing."""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from producers.records import Record
from producers.sources.lexs import read
from producers.touch import Draft, drafted
from schemas.vocabulary import MATCH_KEY_KINDS, IdentifierKind, MatchKeyKind, SubjectRole

NC = "{http://niem.gov/niem/niem-core/2.0}"
JXDM = "{http://niem.gov/niem/domains/jxdm/4.0}"
DIGEST = "{http://usdoj.gov/leisp/lexs/digest/3.1}"

DOCUMENTS = {
    IdentifierKind.SSN: f"{NC}PersonSSNIdentification",
    IdentifierKind.FBI_NUMBER: f"{JXDM}PersonFBIIdentification",
    IdentifierKind.STATE_ID: f"{JXDM}PersonStateFingerprintIdentification",
    IdentifierKind.DRIVER_LICENCE: f"{NC}DriverLicenseIdentification",
    IdentifierKind.PLATE: f"{NC}ConveyanceRegistrationPlateIdentification",
    IdentifierKind.VIN: f"{NC}VehicleIdentification",
}


@pytest.fixture(scope="module")
def files(outside_data: Path) -> list[tuple[Path, Record]]:
    found = []
    for path in sorted((outside_data / "lexs").glob("*.xml")):
        [outcome] = read(path, UTC)
        assert isinstance(outcome, Record)
        found.append((path, outcome))
    assert len(found) == 26
    return found


def root_of(path: Path) -> ET.Element:
    return ET.parse(path).getroot()


def identifiers(record: Record, kind: IdentifierKind) -> Counter[str]:
    """Each identifier once a record, wherever it was put."""
    everywhere = {i for s in record.subjects for i in s.identifiers} | set(record.items)
    return Counter(i.value for i in everywhere if i.kind is kind)


def texts(root: ET.Element, *path: str) -> Counter[str]:
    elements = [root]
    for tag in path:
        elements = [found for each in elements for found in each.iter(tag)]
    return Counter((each.text or "").strip() for each in elements)


def test_every_person_is_a_subject_with_all_its_names_and_birth_dates(files):
    for path, record in files:
        root = root_of(path)
        assert len(record.subjects) == len(root.findall(f".//{DIGEST}EntityPerson"))
        dates = Counter(day for subject in record.subjects for day in subject.birth_dates)
        assert dates == texts(root, f"{NC}PersonBirthDate", f"{NC}Date")
        names = [name for subject in record.subjects for name in subject.names]
        persons = [p for e in root.iter(f"{DIGEST}EntityPerson") for p in e]
        for part, tag in (("surname", "SurName"), ("given", "GivenName"), ("full", "FullName")):
            written = Counter(t for p in persons for t in texts(p, f"{NC}Person{tag}").elements())
            assert Counter(filter(None, (getattr(n, part) for n in names))) == written


def test_every_document_plate_and_vin_is_there_once(files):
    for path, record in files:
        root = root_of(path)
        for kind, tag in DOCUMENTS.items():
            assert identifiers(record, kind) == texts(root, tag, f"{NC}IdentificationID")


def test_every_phone_of_the_digest_is_there_once(files):
    for path, record in files:
        root = root_of(path)
        written = texts(root, f"{DIGEST}EntityTelephoneNumber", f"{NC}TelephoneNumberFullID")
        assert identifiers(record, IdentifierKind.PHONE) == written
        assert sum(written.values()) == len(root.findall(f".//{DIGEST}TelephoneNumber"))


def test_plates_licences_and_state_ids_keep_their_issuer(files):
    for path, record in files:
        root = root_of(path)
        everything = [*record.items, *(i for s in record.subjects for i in s.identifiers)]
        written = texts(root, f"{JXDM}IdentificationJurisdictionUSPostalServiceCode")
        assert Counter(i.issuer for i in everything if i.kind is IdentifierKind.PLATE) == written
        ncic = texts(root, f"{JXDM}IdentificationJurisdictionNCICLISCode")
        wanted = {IdentifierKind.STATE_ID, IdentifierKind.DRIVER_LICENCE}
        assert Counter(i.issuer for i in everything if i.kind in wanted) == ncic


def test_roles_are_those_of_the_report(files):
    for _, record in files:
        assert Counter(subject.role for subject in record.subjects) == {
            SubjectRole.VICTIM: 1,
            SubjectRole.SUSPECT: 2,
            SubjectRole.OFFICER: 1,
        }


def test_what_the_record_ties_to_a_person_is_that_persons_and_the_rest_is_the_touchs(files):
    for path, record in files:
        root = root_of(path)
        ref = "{http://niem.gov/niem/structures/2.0}ref"
        association = root.find(f".//{NC}ResidenceAssociation/{NC}PersonReference")
        assert association is not None
        person = next(
            e for e in root.iter(f"{DIGEST}Person") if association.get(ref) in e.attrib.values()
        )
        [owner] = [s for s in record.subjects if s.identifiers and s.role is SubjectRole.SUSPECT]
        assert owner.birth_dates[0] in texts(person, f"{NC}Date")
        kinds = Counter(i.kind for i in owner.identifiers)
        assert kinds[IdentifierKind.PHONE] == kinds[IdentifierKind.ADDRESS] == 1
        assert {i.kind for i in record.items} == {IdentifierKind.PLATE, IdentifierKind.VIN}


def test_residence_and_scene_are_told_apart(files):
    for path, record in files:
        root = root_of(path)
        [home] = identifiers(record, IdentifierKind.ADDRESS)
        streets = texts(root, f"{NC}StreetName")
        assert {s for s in streets if s in home} | {s for s in streets if s in record.place} == set(
            streets
        )
        assert home != record.place


def test_contact_case_number_time_and_narrative_are_those_of_the_report(files):
    for path, record in files:
        root = root_of(path)
        assert record.contact.case_number in texts(
            root, "{http://fbi.gov/cjis/N-DEx/IncidentArrest/2.1}IncidentCaseNumberText"
        )
        assert record.contact.name
        assert record.contact.phone.startswith("802-")
        assert record.occurred_at is not None
        assert record.occurred_at.isoformat() in texts(root, f"{NC}StartDate", f"{NC}DateTime")
        for said in texts(root, f"{NC}ActivityDescriptionText"):
            assert said in record.narrative


def test_every_identifier_becomes_a_match_key_and_every_subject_has_one(files):
    for _, record in files:
        draft = drafted(record)
        assert isinstance(draft, Draft)
        assert all(draft.keys)
        kinds = {kind for keys in draft.keys for kind, _ in keys}
        assert kinds >= {
            MatchKeyKind.SSN, MatchKeyKind.FBI_NUMBER, MatchKeyKind.STATE_ID, MatchKeyKind.PHONE,
            MatchKeyKind.DRIVER_LICENCE, MatchKeyKind.PLATE, MatchKeyKind.VIN,
            MatchKeyKind.NAME_BIRTH_DATE, MatchKeyKind.FULL_NAME,
        }  # fmt: skip
        assert any("address" in MATCH_KEY_KINDS[MatchKeyKind(kind)].fields for kind in kinds)
