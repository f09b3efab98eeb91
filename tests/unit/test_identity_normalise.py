"""Normalisers on published and usual spellings."""

from __future__ import annotations

import tracemalloc
from datetime import date

import pytest

from schemas.parts import Identifier
from schemas.vocabulary import IdentifierKind
from silenthit.identity import normalise
from silenthit.identity.addresses import parse_address
from silenthit.identity.names import parse_full
from silenthit.identity.names_alike import names_alike
from silenthit.identity.vehicles import vin_checks


@pytest.mark.parametrize("text", ["222-84-5374", "222 84 5374", "SSN: 222845374", "222.84.5374"])
def test_spellings_of_one_ssn_are_equal(text: str) -> None:
    assert normalise.ssn(text) == "222845374"


@pytest.mark.parametrize(
    "text",
    [
        "XXX-XX-5374", "***-**-5374", "000-12-3456", "666-12-3456", "900-12-3456", "222-00-5374",
        "222-84-0000", "111-11-1111", "078-05-1120", "219-09-9999", "22284537", "unknown", "",
    ],
)  # fmt: skip
def test_masked_and_impossible_ssns_are_refused(text: str) -> None:
    assert normalise.ssn(text) == ""


@pytest.mark.parametrize("text", ["632196PY8", "FBI# 632196PY8", "0632196-py8", "UCN 632196PY8"])
def test_spellings_of_one_fbi_number_are_equal(text: str) -> None:
    assert normalise.fbi_number(text) == "632196PY8"


def test_a_state_id_carries_its_jurisdiction_once() -> None:
    assert normalise.state_id("DE5921773", "DE") == normalise.state_id("5921773", "Delaware")
    assert normalise.state_id("SID 5921773", "DE") == "DE:5921773"


def test_licences_of_two_states_differ() -> None:
    assert normalise.driver_licence("S1234-5678", "MA") == "MA:S12345678"
    assert normalise.driver_licence("S12345678", "MA") != normalise.driver_licence(
        "S12345678", "NH"
    )


def test_passports_and_a_numbers() -> None:
    assert normalise.passport("Passport No. C01234567") == normalise.passport("c0123 4567")
    assert normalise.a_number("A 12 345 678") == normalise.a_number("A012345678") == "012345678"


@pytest.mark.parametrize(
    "text",
    ["(617) 555-0123", "617.555.0123 x12", "+1 617 555 0123", "1-617-555-0123", "6175550123"],
)
def test_spellings_of_one_phone_are_equal(text: str) -> None:
    assert normalise.phone(text) == "+16175550123"


def test_a_local_number_needs_the_agency_s_area_code() -> None:
    assert normalise.phone("555-0123") == ""
    assert normalise.phone("555-0123", "617") == "+16175550123"


def test_foreign_numbers_follow_e164() -> None:
    assert normalise.phone("+52 899 555 0143") == "+528995550143"
    assert normalise.phone("011 44 20 7946 0958") == "+442079460958"


def test_mailboxes_follow_their_provider_s_rules() -> None:
    assert normalise.email("J.Doe+ads@GoogleMail.com") == "jdoe@gmail.com"
    assert normalise.email("j.doe+x@example.org") == "j.doe@example.org"


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("@Red.Lips", "IG"),
        ("https://www.instagram.com/red.lips/", ""),
        ("instagram:red.lips", ""),
        ("red.lips", "Instagram"),
    ],
)
def test_handles_and_profile_urls_are_equal(text: str, platform: str) -> None:
    assert normalise.social_handle(text, platform) == "instagram:red.lips"


@pytest.mark.parametrize("text", ["1ABC23", "1abc 23", "MA 1ABC-23", "MA REG 1ABC23"])
def test_spellings_of_one_plate_are_equal(text: str) -> None:
    assert normalise.plate(text) == "1ABC23"


def test_confusable_signs_of_a_plate_are_folded() -> None:
    assert normalise.plate_as_read("OBI 215") == normalise.plate_as_read("0B1-2I5")
    assert normalise.plate_as_read("8S2GQ") == normalise.plate_as_read("B5Z6D")


def test_the_vin_of_the_regulation_checks() -> None:
    assert vin_checks(normalise.vin("1M8GDM9AXKP042788"))
    assert normalise.vin("1M8GDM9AXKPO42788") == "1M8GDM9AXKP042788"
    assert not vin_checks("1M8GDM9A0KP042788")


@pytest.mark.parametrize(
    "text",
    ["1980-01-02", "01/02/1980", "1/2/80", "010280", "01021980", "19800102", "02JAN1980",
     "Jan 2, 1980", "DOB: 01/02/1980", "2 January 1980", "1980-01-02T00:00:00Z"],
)  # fmt: skip
def test_spellings_of_one_birth_date_are_equal(text: str) -> None:
    assert normalise.birth_date(text) == "1980-01-02"


@pytest.mark.parametrize(
    "text", ["1980-02-30", "13/13/1980", "1700-01-01", "2999-01-01", "soon", ""]
)
def test_impossible_birth_dates_are_refused(text: str) -> None:
    assert normalise.birth_date(text) == ""


def test_reduced_birth_dates_stay_reduced() -> None:
    assert normalise.birth_date("1980") == "1980"
    assert normalise.birth_date("01/1980") == "1980-01"
    assert normalise.birth_year_at("30", date(2024, 3, 1)) == "1993"


def test_addresses_follow_usps_abbreviations() -> None:
    one = normalise.address("123 North Main St., Apt 4, Boston, MA 02101")
    assert one == "123 N MAIN ST, #4, BOSTON, MA 02101"
    assert normalise.address("123 N MAIN STREET #4; BOSTON MASSACHUSETTS 02101-0001") == one


def test_the_street_is_found_behind_a_building_s_name() -> None:
    parts = parse_address("3 The Elms, 11 Ogden Close, Boston, MA 02101")
    assert (parts.number, parts.street) == ("11", "OGDEN CL")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("O'Brien", "OBRIEN"), ("O' Brien", "obrien"), ("Mc Donald", "McDonald"), ("José", "jose"),
        ("al-Assad", "Al Assad"), ("Сергей", "sergey"), ("M1chael", "michael"), ("Dr. Doe", "doe"),
        ('John "Red" Doe', "john doe"),
    ],
)  # fmt: skip
def test_spellings_of_one_name_are_equal(one: str, other: str) -> None:
    assert normalise.name(one) == normalise.name(other)


def test_devices_and_payment_names() -> None:
    assert normalise.device("35-209900-176148-1") == normalise.device("35209900176148")
    assert normalise.identifier(
        Identifier(kind=IdentifierKind.PAYMENT, value="https://cash.app/$RedLips22")
    ) == normalise.payment("$redlips22")


@pytest.mark.parametrize("sign", ["a", "1", "Ж", " ", ",", "5 "])
def test_nothing_long_is_remembered(sign: str) -> None:
    """A table's cell may have a megabyte; thousands of them would stay in the memory for good."""
    readers = (
        *(normalise.name, parse_full, normalise.address, normalise.phone, normalise.birth_date),
        lambda text: names_alike(text, text),
    )
    for read in readers:  # what is made once
        read("Ana Ro")
    tracemalloc.start()
    try:
        for number in range(20):
            for read in readers:
                read(f"{number}" + sign * 50_000)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
