"""People and identifiers out of free text, in the styles that `tests/narratives` labels."""

from __future__ import annotations

import pytest

from benchmarks.identity.narratives import load, measure
from producers.narrative import read_narrative, with_narrative
from producers.records import Contact, Record
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind, NameKind, TouchKind
from silenthit.identity.normalise import identifier

STOP = "S/M JOHN DOE AKA 'RED' DOB 010280 op. a blk Honda MA reg 1ABC23"


def test_the_brief_stop_is_read_whole() -> None:
    reading = read_narrative(STOP)
    (subject,) = reading.subjects
    assert subject.mentioned
    assert subject.birth_dates == ("1980-01-02",)
    assert [(each.full, each.kind) for each in subject.names] == [
        ("JOHN DOE", NameKind.LEGAL),
        ("RED", NameKind.STREET_NAME),
    ]
    assert reading.items == (Identifier(kind=IdentifierKind.PLATE, value="1ABC23", issuer="MA"),)


def test_prices_and_places_are_found() -> None:
    reading = read_narrative("She was told to make $500 a night at 45 Main Street, room 9.")
    assert reading.prices == ("$500",)
    assert [place.strip() for place in reading.places] == ["45 Main Street"]


def test_what_the_record_says_itself_is_not_said_again() -> None:
    record = Record(
        number="1",
        kind=TouchKind.TRAFFIC_STOP,
        contact=Contact(name="Ann Clerk", phone="617-555-0100"),
        subjects=(Subject(names=(PersonName(given="John", surname="Doe"),)),),
        items=(Identifier(kind=IdentifierKind.PLATE, value="1abc-23"),),
        narrative=f"{STOP}. PASSENGER MARIA LOPEZ. Call Ann Clerk at 617-555-0100.",
    )
    told = with_narrative(record)
    assert told.subjects[0] == record.subjects[0]
    assert [each.names[0].full for each in told.subjects[1:]] == ["MARIA LOPEZ"]
    assert told.items == record.items


def test_officers_streets_cars_and_businesses_are_not_people() -> None:
    text = (
        "Officer James Miller and Det. Maria Lopez stopped a Honda Accord at Washington Street in"
        " front of Golden Spa, Boston, on Monday."
    )
    assert read_narrative(text).subjects == ()


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "[", "REG", "@", "AKA ''", "DOB", "A" * 5000, "Doe, " * 5000, "a.b@" * 5000],
)
def test_any_text_is_read_without_a_fault(text: str) -> None:
    read_narrative(text)


def test_the_labelled_narratives_are_many_and_a_third_is_kept_aside() -> None:
    tuned, aside = load("tuned.txt"), load("kept_aside.txt")
    assert len(tuned) + len(aside) >= 40
    assert 3 * len(aside) >= len(tuned) + len(aside)
    assert {each.title.partition("-")[0] for each in tuned}.isdisjoint(
        each.title.partition("-")[0] for each in aside
    )


@pytest.mark.parametrize("file", ["tuned.txt", "kept_aside.txt"])
def test_labelled_narratives_are_read_as_well_as_promised(file: str) -> None:
    scores = measure(file)
    assert scores.names_recall >= 0.9
    assert scores.names_precision >= 0.8
    assert scores.identifiers_f1 >= 0.97


def test_cash_tags_payment_pages_and_imeis_are_read() -> None:
    text = (
        "Ad asks for $100 by Cash App to $RedLips22 or venmo.com/u/red-lips, $80 half hour. "
        "Seized phone IMEI: 35-209900-176148-1."
    )
    found = {(each.kind, identifier(each)) for each in read_narrative(text).items}
    assert found == {
        (IdentifierKind.PAYMENT, "redlips22"),
        (IdentifierKind.PAYMENT, "redlips"),
        (IdentifierKind.DEVICE, "35209900176148"),
    }
