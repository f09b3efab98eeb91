"""Triage: decisions, reasons and what an association may do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind
from silenthit.errors import SettingsError
from silenthit.identity.addresses import parse_address
from silenthit.identity.compare import Decision, compare
from silenthit.identity.level import Level
from silenthit.identity.levels import address_level, date_level
from silenthit.identity.model import Model, default_model
from silenthit.identity.name_levels import given_level

PHONE = Identifier(kind=IdentifierKind.PHONE, value="617-555-0123")
HOME = Identifier(kind=IdentifierKind.ADDRESS, value="123 Main St, Boston, MA 02101")


def person(
    full: str, born: str = "", *identifiers: Identifier, mentioned: bool = False, sex: str = ""
) -> Subject:
    return Subject(
        names=(PersonName(full=full),) if full else (),
        birth_dates=(born,) if born else (),
        identifiers=identifiers,
        mentioned=mentioned,
        sex=sex,
    )


def test_the_same_name_and_birth_date_are_a_hit_with_a_reason_a_field() -> None:
    found = compare(person("Kaminsky, Oleg", "1980-01-02"), person("Oleg Kaminski", "01/02/1980"))
    assert found.decision is Decision.HIT
    assert [line.partition(":")[0] for line in found.reasons] == ["surname", "given", "birth date"]
    assert found.reasons[0].startswith("surname: kaminsky ~ kaminski, +")
    assert found.weight == pytest.approx(
        sum(float(line.rpartition(" ")[2]) for line in found.reasons), abs=0.2
    )


def test_a_rare_name_weighs_more_than_a_common_one() -> None:
    rare = compare(person("Oleg Kaminsky"), person("Oleg Kaminsky"))
    common = compare(person("James Smith"), person("James Smith"))
    assert rare.weight > common.weight + 3


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (IdentifierKind.PHONE, "617-555-0123"),
        (IdentifierKind.PLATE, "1ABC23"),
        (IdentifierKind.VIN, "1M8GDM9AXKP042788"),
        (IdentifierKind.EMAIL, "a@example.org"),
        (IdentifierKind.SOCIAL_HANDLE, "instagram:red.lips"),
    ],
)
def test_an_association_alone_is_possible_never_more_never_less(
    kind: IdentifierKind, value: str
) -> None:
    item = Identifier(kind=kind, value=value)
    assert compare(person("", "", item), person("", "", item)).decision is Decision.POSSIBLE
    stranger = person("Ann Ortiz", "1999-03-04", item)
    assert compare(person("Oleg Kaminsky", "1980-01-02", item), stranger).decision is (
        Decision.POSSIBLE
    )


def test_all_associations_together_are_still_no_hit() -> None:
    items = (
        PHONE,
        HOME,
        Identifier(kind=IdentifierKind.PLATE, value="1ABC23"),
        Identifier(kind=IdentifierKind.EMAIL, value="a@example.org"),
    )
    assert compare(person("", "", *items), person("", "", *items)).decision is Decision.POSSIBLE


def test_items_of_the_touch_count_for_the_seen_subject() -> None:
    found = compare(person("", "", PHONE), person("Ann Ortiz"), items=(PHONE,))
    assert found.decision is Decision.POSSIBLE


def test_a_relative_at_the_same_address_is_no_hit() -> None:
    watched = person("John Kaminsky", "1980-01-02", HOME)
    assert compare(watched, person("Mary Kaminsky", "1955-07-09", HOME)).decision is not (
        Decision.HIT
    )


def test_a_stranger_is_discarded() -> None:
    watched = person("John Kaminsky", "1980-01-02", HOME)
    assert compare(watched, person("Ann Ortiz", "1999-03-04")).decision is Decision.DISCARDED


def test_a_mention_is_weaker_than_a_subject_and_says_so() -> None:
    watched = person("Oleg Kaminsky", "1980-01-02")
    said = compare(watched, person("Oleg Kaminsky", "1980-01-02", mentioned=True))
    assert said.weight < compare(watched, person("Oleg Kaminsky", "1980-01-02")).weight
    assert said.reasons[-1].startswith("only mentioned")


def test_an_alias_counts_as_a_name() -> None:
    watched = Subject(
        names=(PersonName(full="John Doe"), PersonName(full="Oleg Kaminsky")),
        birth_dates=("1980-01-02",),
    )
    assert compare(watched, person("Kaminsky, Oleg", "1980-01-02")).decision is Decision.HIT


def test_father_and_son_are_told_apart_by_their_suffix() -> None:
    watched = person("John Doe Jr")
    with_suffix = compare(watched, person("John Doe Sr"))
    assert with_suffix.weight < compare(watched, person("John Doe Jr")).weight


def test_comparing_is_symmetric() -> None:
    one = person("Oleg Kaminsky", "1980-01-02", HOME, sex="M")
    other = person("Kaminski, Oleh", "1980-02-01", PHONE, sex="male")
    assert compare(one, other).weight == pytest.approx(compare(other, one).weight)


def test_a_users_model_replaces_ours(tmp_path: Path) -> None:
    content = {"prior": 0.5, "hit": 0.99, "possible": 0.5, "mentioned": 0.0, "levels": {}}
    file = tmp_path / "model.json"
    file.write_text(json.dumps(content))
    found = compare(person("A B"), person("A B"), model=Model.load(file))
    assert found.probability == 0.5
    assert default_model().prior < -10


def test_a_broken_model_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.json"):
        Model.load(tmp_path / "missing.json")


def test_nothing_of_a_subject_shows_in_a_repr() -> None:
    found = compare(person("Oleg Kaminsky", "1980-01-02"), person("Oleg Kaminsky", "1980-01-02"))
    assert "kaminsky" not in repr(found).lower()


def test_a_local_number_meets_the_whole_one() -> None:
    local = Identifier(kind=IdentifierKind.PHONE, value="555-0123")
    assert compare(person("", "", PHONE), person("", "", local)).decision is Decision.POSSIBLE


@pytest.mark.parametrize(
    ("watched", "seen"),
    [
        (person("John Kaminsky", "1980-01-02", HOME), person("John Kaminsky", "1955-07-09", HOME)),
        (person("John Kaminsky Jr", "", HOME), person("John Kaminsky Sr", "", HOME)),
    ],
    ids=["birth date", "suffix"],
)
def test_a_father_of_the_same_name_and_address_is_possible_until_a_number_agrees(
    watched: Subject, seen: Subject
) -> None:
    assert compare(watched, seen).decision is Decision.POSSIBLE
    ssn = (Identifier(kind=IdentifierKind.SSN, value="222-84-5374"),)
    with_number = watched.model_copy(update={"identifiers": (*watched.identifiers, *ssn)})
    assert compare(with_number, seen, items=ssn).decision is Decision.HIT


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7 Cope Place, Dover, MA 02030", "18 Copeplace, Dover, MA 02030"),
        ("3 Duffy Street, Dover, MA 02030", "9 Duffy S treet, Dover, MA 02030"),
        ("3 Hackett Lane, The Elms, Dover, MA 02030", "The Elms, 9 Hackett Lane, Dover, MA 02030"),
        ("3 Hackett Lane, Dover, MA 02030", "9 Hackett Lane, Dover, MA 01234"),
    ],
    ids=["spaces lost", "a space too many", "street after the building", "another postcode"],
)
def test_an_address_agrees_in_street_and_place_though_mangled(one: str, other: str) -> None:
    assert address_level(parse_address(one), parse_address(other)) == "two of three"


def test_other_streets_of_one_city_agree_in_the_place_alone() -> None:
    one, other = "3 Mill Street, Dover, MA 02030", "9 Hill Street, Dover, MA 02030"
    assert address_level(parse_address(one), parse_address(other)) == "one of three"


def test_spellings_and_dates_have_a_level_between_alike_and_different() -> None:
    assert given_level("katharina", "katarzyna") == "near"
    assert date_level("1947-11-23", "1942-11-28") == "two slips"
    weigh = default_model().weight
    for field, nearer in (("surname", "near"), ("given", "near"), ("birth_date", "two slips")):
        between = weigh(Level(field, nearer, "", ""))
        assert weigh(Level(field, "different", "", "")) < between
