"""Normalisers, match keys and triage hold on any text."""

from __future__ import annotations

import string
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.narrative import read_narrative
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, is_strong
from silenthit.identity import normalise
from silenthit.identity.compare import compare
from silenthit.identity.match_keys import MAX_WEAK, match_keys
from silenthit.identity.names import parse_full
from silenthit.identity.names_alike import names_alike
from silenthit.identity.places import place_key
from silenthit.identity.vehicles import plate_as_read

# Any text, and texts of the signs that records are written with, which reach further.
TEXT = st.text() | st.text(alphabet=string.ascii_letters + string.digits + " .,-'/()#@:+\"")
LIKELY = st.from_regex(
    r"(\+?1[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}( ?x\d{1,3})?"
    r"|[A-Za-z.]{1,8}(\+[a-z]{1,3})?@[a-z]{1,8}\.(com|org)"
    r"|\d{1,2}[/-]\d{1,2}[/-](\d\d|\d{4})|\d{8}|\d{6}"
    r"|\d{1,4} ([NSEW]|North) [A-Z][a-z]{2,8} (St|Street|Ave|Rd)(, Apt \d)?"
    r", [A-Z][a-z]{3,7},? MA \d{5}"
    r"|[A-Z][a-z]{1,8}, [A-Z][a-z]{1,8} [A-Z]\.?( Jr)?"
    r"|(A|IMEI|SID|OLN|VIN|FBI|SN|PPT|MA:|UCN) ?#? ?[0-9]{4,15}"
    r"|[NS]? ?\d{1,2}[.]\d{1,6},? ?-?\d{1,3}[.]\d{1,6}"
    r"|(facebook|instagram|ig)[:./ ]@?[a-z_.]{3,9}|[A-Z]{2}[: ]?[A-Z]?\d{4,9}",
    fullmatch=True,
)
NORMALISERS: list[Callable[[str], str]] = [
    normalise.ssn, normalise.fbi_number, normalise.state_id, normalise.driver_licence,
    normalise.passport, normalise.a_number, normalise.phone, normalise.email,
    normalise.social_handle, normalise.plate, plate_as_read, normalise.vin, normalise.device,
    normalise.payment, normalise.birth_date, normalise.address, normalise.name,
    normalise.street_name, normalise.jurisdiction, place_key,
]  # fmt: skip


@pytest.mark.parametrize("normaliser", NORMALISERS, ids=lambda each: each.__name__)
@given(text=TEXT | LIKELY)
def test_a_normaliser_is_total_and_idempotent(normaliser: Callable[[str], str], text: str) -> None:
    once = normaliser(text)
    assert normaliser(once) == once


DIGITS = st.text(alphabet=string.digits, min_size=1)


@given(
    area=st.from_regex(r"[2-9][0-9]{2}", fullmatch=True),
    line=st.from_regex(r"[2-9][0-9]{6}", fullmatch=True),
)
def test_a_phone_is_the_same_in_every_usual_spelling(area: str, line: str) -> None:
    plain = normalise.phone(area + line)
    spellings = [
        f"({area}) {line[:3]}-{line[3:]}", f"{area}.{line[:3]}.{line[3:]}", f"+1{area}{line}",
        f"1-{area}-{line[:3]}-{line[3:]}", f"{area}-{line[:3]}-{line[3:]} x12",
    ]  # fmt: skip
    assert {normalise.phone(each) for each in spellings} == {plain}
    assert normalise.phone(f"{line[:3]}-{line[3:]}", area) == plain


@given(born=st.dates(min_value=date(1930, 1, 1), max_value=date(2024, 12, 31)))
def test_a_birth_date_is_the_same_in_every_usual_spelling(born: date) -> None:
    spellings = [
        f"{born:%Y-%m-%d}",
        f"{born:%m/%d/%Y}",
        f"{born:%Y%m%d}",
        f"{born:%d%b%Y}",
        f"{born:%b %d, %Y}",
    ]
    assert {normalise.birth_date(each) for each in spellings} == {f"{born:%Y-%m-%d}"}


@given(
    mailbox=st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True),
    tag=st.from_regex(r"[a-z]{0,5}", fullmatch=True),
)
def test_a_mailbox_is_the_same_with_a_tag_and_in_capitals(mailbox: str, tag: str) -> None:
    assert normalise.email(f"{mailbox}+{tag}@EXAMPLE.org") == f"{mailbox}@example.org"


@given(plate=st.from_regex(r"[A-Z0-9]{5,7}", fullmatch=True), data=st.data())
def test_a_plate_survives_any_confusable_misread(plate: str, data: st.DataObject) -> None:
    groups = ("0OQD", "1IL", "2Z", "5S", "8B", "6G")
    if len(set(plate)) < 3 or normalise.plate(plate) != plate:
        return
    place = data.draw(st.integers(0, len(plate) - 1))
    group = next((each for each in groups if plate[place] in each), plate[place])
    read = plate[:place] + data.draw(st.sampled_from(group)) + plate[place + 1 :]
    if len(set(read)) > 1:
        assert plate_as_read(read) == plate_as_read(plate)


@given(text=TEXT | LIKELY)
def test_cutting_a_name_adds_no_word(text: str) -> None:
    head, _, tail = text.partition(",")
    words = {word for each in (text, head, tail) for word in normalise.name(each).split()}
    parts = parse_full(text)
    assert {*parts.given, *parts.surname} <= words


@given(one=TEXT, other=TEXT)
def test_likeness_of_names_is_a_probability(one: str, other: str) -> None:
    assert 0 <= names_alike(one, other) <= 1


NAMES = st.builds(PersonName, surname=TEXT, given=TEXT, middle=TEXT) | st.builds(
    PersonName, full=TEXT | LIKELY
)
IDENTIFIERS = st.builds(
    Identifier, kind=st.sampled_from(list(IdentifierKind)), value=TEXT | LIKELY, issuer=TEXT
)
SUBJECTS = st.builds(
    Subject,
    names=st.lists(NAMES, max_size=2).map(tuple),
    birth_dates=st.lists(TEXT | LIKELY, max_size=2).map(tuple),
    sex=TEXT,
    identifiers=st.lists(IDENTIFIERS, max_size=4).map(tuple),
)


@given(subject=SUBJECTS)
def test_match_keys_are_total_unique_and_bounded(subject: Subject) -> None:
    keys = match_keys(subject)
    assert len(set(keys)) == len(keys)
    assert sum(not is_strong(key.kind) for key in keys) <= MAX_WEAK
    assert all(key.value for key in keys)


@given(one=SUBJECTS, other=SUBJECTS)
def test_triage_is_total_and_a_probability(one: Subject, other: Subject) -> None:
    found = compare(one, other)
    assert 0 <= found.probability <= 1
    assert compare(one, other) == found


@given(text=TEXT | st.lists(LIKELY | st.sampled_from(["S/M", "AKA", "DOB", "reg"])).map(" ".join))
def test_any_narrative_is_read_and_what_is_found_is_mentioned_in_it(text: str) -> None:
    reading = read_narrative(text)
    assert all(subject.mentioned for subject in reading.subjects)
    assert all(each.value in text for each in reading.items)
    assert all(each.full in text for subject in reading.subjects for each in subject.names)
