"""Parts, nicknames and likeness of names."""

from __future__ import annotations

import pytest

from schemas.parts import PersonName
from silenthit.identity.names import formal_name, parse, parse_full
from silenthit.identity.names_alike import names_alike


@pytest.mark.parametrize(
    ("text", "given", "surname", "suffix"),
    [
        ("Doe, John M. Jr.", ("john", "m"), ("doe",), "jr"),
        ("John M Doe Jr", ("john", "m"), ("doe",), "jr"),
        ("María de la Cruz", ("maria",), ("de", "la", "cruz"), ""),
        ("van der Berg, Jan", ("jan",), ("van", "der", "berg"), ""),
        ("O BRIEN, SEAN", ("sean",), ("obrien",), ""),
        ("John Doe 3rd", ("john",), ("doe",), "iii"),
    ],
)
def test_a_whole_name_is_cut_into_parts(
    text: str, given: tuple[str, ...], surname: tuple[str, ...], suffix: str
) -> None:
    parts = parse_full(text)
    assert (parts.given, parts.surname, parts.suffix) == (given, surname, suffix)


def test_fields_win_over_the_whole_name() -> None:
    parts = parse(PersonName(given="Ana", surname="García López", full="somebody else"))
    assert parts.surname == ("garcia", "lopez")


@pytest.mark.parametrize(
    ("short", "formal"),
    [("bill", "william"), ("bob", "robert"), ("peggy", "margaret"), ("mike", "michael"),
     ("william", "william"), ("maria", "maria")],
)  # fmt: skip
def test_nicknames_lead_to_one_formal_name(short: str, formal: str) -> None:
    assert formal_name(short) == formal


@pytest.mark.parametrize(
    ("one", "other"),
    [("Сергей Лавров", "Lavrov, Sergey"), ("Barack Obama", "バラク・オバマ"),
     ("Usama bin Ladin", "Osama bin Laden"), ("VladimirPutin", "Vladimir Putin")],
)  # fmt: skip
def test_names_of_one_person_are_alike_across_scripts_and_order(one: str, other: str) -> None:
    assert names_alike(one, other) > 0.5
    assert names_alike(other, one) > 0.5


@pytest.mark.parametrize(
    ("one", "other"),
    [("Frank Richter", "Frederik Richter"), ("Donald Tusk", "Daniel Tusk"), ("", "Jane Doe")],
)
def test_names_of_two_people_are_not(one: str, other: str) -> None:
    assert names_alike(one, other) < 0.5


def test_a_name_hides_itself_in_a_repr() -> None:
    assert "doe" not in repr(parse_full("John Doe")).lower()
