"""LEXS documents of our own: bad ones, and shapes that the outside files do not have."""

from __future__ import annotations

from datetime import UTC

import pytest
from lxml import etree

from producers.records import Record, Rejection, Withdrawal
from producers.sources import lexs
from producers.sources.lexs import read_bytes
from producers.sources.safe_xml import UnsafeXmlError, parse
from schemas.parts import Identifier
from schemas.vocabulary import IdentifierKind, NameKind, SubjectRole, TouchKind
from silenthit.identity.places import coordinates, located

NAMESPACES = (
    'xmlns:lexs="http://usdoj.gov/leisp/lexs/3.1" '
    'xmlns:lexsdigest="http://usdoj.gov/leisp/lexs/digest/3.1" '
    'xmlns:nc="http://niem.gov/niem/niem-core/2.0" '
    'xmlns:j="http://niem.gov/niem/domains/jxdm/4.0" '
    'xmlns:s="http://niem.gov/niem/structures/2.0"'
)
PERSON = """
<lexsdigest:EntityPerson><lexsdigest:Person s:id="P1">
  <nc:PersonBirthDate><nc:Date>{born}</nc:Date></nc:PersonBirthDate>
  <nc:PersonName><nc:PersonGivenName>Ana</nc:PersonGivenName>
  <nc:PersonMiddleName>Li</nc:PersonMiddleName><nc:PersonSurName>Ro</nc:PersonSurName>
  <nc:PersonNameSuffixText>Jr</nc:PersonNameSuffixText></nc:PersonName>
</lexsdigest:Person><j:{role}><nc:RoleOfPersonReference s:ref="P1"/></j:{role}>
</lexsdigest:EntityPerson>
"""


def package(digest: str, instruction: str = "Insert", number: str = "R-1") -> str:
    return f"""<lexs:DataItemPackage><lexs:PackageMetadata>
    <lexs:DataItemID>{number}</lexs:DataItemID>
    <lexs:DataItemPublishInstruction>{instruction}</lexs:DataItemPublishInstruction>
    </lexs:PackageMetadata><lexs:Digest>{digest}</lexs:Digest></lexs:DataItemPackage>"""


def document(*packages: str) -> bytes:
    return f"<lexs:Message {NAMESPACES}>{''.join(packages)}</lexs:Message>".encode()


def person(born: str = "1990-02-03", role: str = "Suspect") -> str:
    return PERSON.format(born=born, role=role)


def outcomes(*packages: str) -> list[object]:
    return list(read_bytes(document(*packages), "x.xml", UTC))


def only(*packages: str) -> Record:
    [record] = outcomes(*packages)
    assert isinstance(record, Record)
    return record


def refusal(data: bytes) -> Rejection:
    [rejection] = read_bytes(data, "x.xml", UTC)
    assert isinstance(rejection, Rejection)
    return rejection


def test_all_parts_of_a_name_are_read():
    [name] = only(package(person())).subjects[0].names
    assert (name.given, name.middle, name.surname, name.suffix) == ("Ana", "Li", "Ro", "Jr")
    assert name.kind is NameKind.LEGAL


@pytest.mark.parametrize(
    ("element", "role"),
    [
        ("Victim", SubjectRole.VICTIM),
        ("Suspect", SubjectRole.SUSPECT),
        ("ArrestSubject", SubjectRole.ARRESTEE),
        ("Witness", SubjectRole.WITNESS),
        ("EnforcementOfficial", SubjectRole.OFFICER),
        ("SomethingNew", SubjectRole.CONTACT),
    ],
)
def test_roles_are_kept(element, role):
    assert only(package(person(role=element))).subjects[0].role is role


def test_somebody_under_eighteen_is_a_minor_by_birth_date_or_by_age():
    assert only(package(person(born="2020-05-05"))).subjects[0].minor
    aged = person().replace(
        "<nc:PersonName>",
        "<nc:PersonAgeMeasure><nc:MeasurePointValue>15</nc:MeasurePointValue>"
        "</nc:PersonAgeMeasure><nc:PersonName>",
        1,
    )
    assert only(package(aged)).subjects[0].minor
    assert not only(package(person())).subjects[0].minor


def test_a_vehicle_and_an_email_tied_to_a_person_are_that_persons():
    digest = (
        person()
        + """
    <lexsdigest:EntityVehicle><nc:Vehicle s:id="V1"><nc:ConveyanceRegistrationPlateIdentification>
      <nc:IdentificationID>ABC 123</nc:IdentificationID>
      <j:IdentificationJurisdictionUSPostalServiceCode>VT</j:IdentificationJurisdictionUSPostalServiceCode>
    </nc:ConveyanceRegistrationPlateIdentification></nc:Vehicle></lexsdigest:EntityVehicle>
    <lexsdigest:EntityEmail><nc:ContactEmailID s:id="E1">a@b.example</nc:ContactEmailID>
    </lexsdigest:EntityEmail>
    <lexsdigest:EntityEmail><nc:ContactEmailID>loose@b.example</nc:ContactEmailID>
    </lexsdigest:EntityEmail>
    <lexsdigest:Associations>
      <lexsdigest:PersonVehicleAssociation><nc:PersonReference s:ref="P1"/>
        <nc:VehicleReference s:ref="V1"/></lexsdigest:PersonVehicleAssociation>
      <lexsdigest:EntityEmailAssociation><nc:PersonReference s:ref="P1"/>
        <lexsdigest:EmailIDReference s:ref="E1"/></lexsdigest:EntityEmailAssociation>
    </lexsdigest:Associations>"""
    )
    record = only(package(digest))
    assert record.subjects[0].identifiers == (
        Identifier(kind=IdentifierKind.PLATE, value="ABC 123", issuer="VT"),
        Identifier(kind=IdentifierKind.EMAIL, value="a@b.example"),
    )
    assert [i.value for i in record.items] == ["loose@b.example"]


def test_an_international_number_is_one_string():
    digest = """<lexsdigest:EntityTelephoneNumber><lexsdigest:TelephoneNumber>
    <nc:InternationalTelephoneNumber><nc:TelephoneCountryCodeID>49</nc:TelephoneCountryCodeID>
    <nc:TelephoneNumberID>30901820</nc:TelephoneNumberID></nc:InternationalTelephoneNumber>
    </lexsdigest:TelephoneNumber></lexsdigest:EntityTelephoneNumber>"""
    assert [i.value for i in only(package(digest)).items] == ["+49 30901820"]


def test_a_nibrs_title_becomes_its_code_and_other_words_stay_in_the_narrative():
    digest = person() + (
        "<lexsdigest:Offense><nc:OffenseText>simple assault</nc:OffenseText></lexsdigest:Offense>"
        "<lexsdigest:Offense><nc:OffenseText>General mayhem</nc:OffenseText></lexsdigest:Offense>"
    )
    record = only(package(digest))
    assert record.offences == ("13B",)
    assert record.narrative == "General mayhem"


def test_an_arrest_is_an_arrest():
    digest = person() + (
        "<lexsdigest:EntityActivity><nc:Activity s:id='A'>"
        "<nc:ActivityCategoryText>Arrest</nc:ActivityCategoryText></nc:Activity>"
        "</lexsdigest:EntityActivity>"
    )
    assert only(package(digest)).kind is TouchKind.ARREST


def test_a_deletion_is_a_withdrawal():
    assert outcomes(package("", instruction="Delete")) == [Withdrawal(number="R-1")]


def test_one_impossible_date_names_element_and_line_and_the_other_packages_go_through():
    bad = package(person(born="1990-13-41"), number="R-1")
    first, second = outcomes(bad, package(person(), number="R-2"))
    assert isinstance(first, Rejection)
    assert str(first.place).startswith("x.xml, element nc:PersonBirthDate at line ")
    assert "1990-13-41" not in str(first)
    assert isinstance(second, Record)


@pytest.mark.parametrize("born", ["1990", "1990-02", "1990-02-03Z", "1990-02-03-05:00"])
def test_reduced_dates_and_dates_with_a_zone_are_dates(born):
    assert only(package(person(born=born))).subjects[0].birth_dates == (
        born[:10].removesuffix("Z"),
    )


@pytest.mark.parametrize(
    "born", ["2990-01-01", "1001-01-01", "03/02/1990", "unknown", "1990-02-30"]
)
def test_a_birth_date_that_cannot_be_is_refused(born):
    assert isinstance(outcomes(package(person(born=born)))[0], Rejection)


def test_a_package_without_a_number_is_refused():
    [rejection] = outcomes(package(person(), number=""))
    assert "DataItemID" in str(rejection)


def test_xml_that_does_not_parse_is_refused_with_its_line():
    rejection = refusal(b"<a>\n<b>\n</a>")
    assert "line 3" in str(rejection.place)


def test_other_xml_is_refused_with_the_remedy():
    assert "lexs:DataItemPackage" in str(refusal(b"<html/>"))


BOMB = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "ha">%s]><a>&l9;</a>""" % b"".join(
    b'<!ENTITY l%d "%s">' % (n + 1, b"&l%d;" % n * 10) for n in range(9)
)
EXTERNAL = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
PARAMETER = b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x"> %x;]><a/>'
REMOTE_DTD = b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>'


@pytest.mark.parametrize("attack", [BOMB, EXTERNAL, PARAMETER, REMOTE_DTD])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_bombs_and_external_entities_are_refused_before_anything_is_expanded(attack, encoding):
    data = attack.decode().replace('<?xml version="1.0"?>', "").encode(encoding)
    assert "document type" in str(refusal(data))


def test_text_of_an_entity_that_is_not_declared_is_refused():
    assert isinstance(refusal(b"<a>&x;</a>"), Rejection)


def test_a_document_nested_too_deep_is_refused():
    with pytest.raises(UnsafeXmlError):
        parse(b"<a>" * 5000 + b"</a>" * 5000)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (
            """<Location2DGeospatialCoordinate><GeographicCoordinateLatitude>
            <LatitudeDegreeValue>42</LatitudeDegreeValue>
            <LatitudeMinuteValue>21.6</LatitudeMinuteValue></GeographicCoordinateLatitude>
            <GeographicCoordinateLongitude><LongitudeDegreeValue>-71</LongitudeDegreeValue>
            <LongitudeMinuteValue>3</LongitudeMinuteValue>
            <LongitudeSecondValue>27</LongitudeSecondValue></GeographicCoordinateLongitude>
            </Location2DGeospatialCoordinate>""",
            "Boston (42.36000, -71.05750)",
        ),
        ("<MGRSCoordinateStringText>19TCG3056391798</MGRSCoordinateStringText>", None),
        ("", "Boston"),
    ],
    ids=["degrees", "MGRS", "none"],
)
def test_a_location_keeps_its_coordinates(inside: str, expected: str | None) -> None:
    location = etree.fromstring(f"<Location>{inside}</Location>")
    found = located("Boston", lexs._coordinates(location))
    assert coordinates(found) == pytest.approx((42.36, -71.0575), abs=1e-5) or not inside
    assert expected is None or found == expected
