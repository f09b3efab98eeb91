"""Which keys a subject has, and which mistakes they survive."""

from __future__ import annotations

from itertools import combinations

import pytest

from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import (
    MATCH_KEY_KINDS,
    IdentifierKind,
    MatchKeyKind,
    NameKind,
    Strength,
    admissible_pair,
    is_strong,
)
from silenthit.identity.match_keys import MAX_WEAK, MatchKey, match_keys

ADDRESS = Identifier(kind=IdentifierKind.ADDRESS, value="123 Main St, Boston, MA 02101")


def person(
    given: str = "William", surname: str = "Kaminsky", born: str = "1980-05-21",
    address: Identifier | None = ADDRESS,
) -> Subject:  # fmt: skip
    return Subject(
        names=(PersonName(given=given, surname=surname),),
        birth_dates=(born,) if born else (),
        identifiers=(address,) if address else (),
    )


def satisfied(one: Subject, other: Subject) -> bool:
    shared = [key.kind for key in set(match_keys(one)) & set(match_keys(other))]
    return any(map(is_strong, shared)) or any(admissible_pair(*p) for p in combinations(shared, 2))


@pytest.mark.parametrize(
    ("kind", "value", "issuer"),
    [
        (IdentifierKind.SSN, "222-84-5374", ""),
        (IdentifierKind.FBI_NUMBER, "632196PY8", ""),
        (IdentifierKind.STATE_ID, "DE5921773", "DE"),
        (IdentifierKind.DRIVER_LICENCE, "A8355210", "DE"),
        (IdentifierKind.PASSPORT, "C01234567", "US"),
        (IdentifierKind.A_NUMBER, "A012345678", ""),
        (IdentifierKind.PHONE, "302-571-8292", ""),
        (IdentifierKind.EMAIL, "a.b@example.org", ""),
        (IdentifierKind.SOCIAL_HANDLE, "@red.lips", "instagram"),
        (IdentifierKind.PLATE, "52G604", "MA"),
        (IdentifierKind.VIN, "1M8GDM9AXKP042788", ""),
        (IdentifierKind.DEVICE, "352099001761481", ""),
        (IdentifierKind.PAYMENT, "$redlips22", "cash app"),
    ],
)
def test_each_identifier_alone_is_one_strong_key(
    kind: IdentifierKind, value: str, issuer: str
) -> None:
    written = Identifier(kind=kind, value=value, issuer=issuer)
    (key,) = match_keys(Subject(identifiers=(written,)))
    assert is_strong(key.kind)
    assert match_keys(Subject(), items=(written,)) == (key,)


@pytest.mark.parametrize(
    "other",
    [
        person(given="Bill"),
        person(given="Wiliam"),
        person(surname="Kaminski"),
        person(born="1980-21-05"),
        person(born="05/12/1980"),
        person(born="1981-05-21"),
        person(given="Kaminsky", surname="William"),
        person(born=""),
    ],
    ids=["nickname", "typo", "spelling", "swapped date", "wrong day", "wrong year", "swapped names",
         "no birth date"],
)  # fmt: skip
def test_one_mistake_keeps_a_person_findable(other: Subject) -> None:
    assert satisfied(person(), other)


@pytest.mark.parametrize(
    "other", [person(given="Bill"), person(surname="Kaminski"), person(born="1981-05-21")]
)
def test_name_and_birth_date_survive_one_mistake_without_an_address(other: Subject) -> None:
    bare = other.model_copy(update={"identifiers": ()})
    assert satisfied(person(address=None), bare)


def test_strangers_who_share_a_birth_date_or_a_surname_share_nothing_that_counts() -> None:
    assert not satisfied(person(address=None), person(given="Ann", surname="Ortiz", address=None))
    assert not satisfied(person(address=None), person(given="Ann", born="1999-01-03", address=None))


def test_no_bare_birth_date_surname_or_postcode_makes_a_key() -> None:
    assert match_keys(Subject(birth_dates=("1980-05-21",))) == ()
    assert match_keys(Subject(names=(PersonName(surname="Kaminsky"),))) == ()
    where = Identifier(kind=IdentifierKind.ADDRESS, value="Boston, MA 02101")
    assert match_keys(Subject(identifiers=(where,))) == ()


def test_a_usual_subject_has_at_most_24_keys_and_8_weak() -> None:
    more = (
        Identifier(kind=IdentifierKind.SSN, value="222-84-5374"),
        Identifier(kind=IdentifierKind.PHONE, value="302-571-8292"),
        Identifier(kind=IdentifierKind.DRIVER_LICENCE, value="A8355210", issuer="DE"),
        Identifier(kind=IdentifierKind.PLATE, value="52G604", issuer="MA"),
    )
    keys = match_keys(person(), items=more)
    assert len(keys) <= 24
    aliases = tuple(PersonName(full=f"Alias{n} Nobody") for n in "abcdefgh")
    crowded = person().model_copy(update={"names": (*person().names, *aliases)})
    weak = [key for key in match_keys(crowded) if not is_strong(key.kind)]
    assert len(weak) == MAX_WEAK


def test_keys_are_unique_ordered_and_strong_first() -> None:
    keys = match_keys(person(), items=(ADDRESS,))
    assert len(set(keys)) == len(keys)
    assert keys == match_keys(person())
    strengths = [is_strong(key.kind) for key in keys]
    assert strengths == sorted(strengths, reverse=True)


def test_a_street_name_is_no_legal_name_but_counts_with_the_birth_date() -> None:
    red = PersonName(full="Lil' Red", kind=NameKind.STREET_NAME)
    keys = match_keys(Subject(names=(red,), birth_dates=("1980-05-21",)))
    assert [key.kind for key in keys] == [MatchKeyKind.STREET_NAME_BIRTH_DATE]


def test_double_surnames_and_particles_meet_their_parts() -> None:
    whole = person(given="Ana", surname="García López", address=None)
    assert satisfied(whole, person(given="Ana", surname="Lopez", address=None))
    assert satisfied(
        person(surname="al-Assad", address=None), person(surname="Assad", address=None)
    )


def test_every_kind_of_key_has_facts_and_hides_its_value() -> None:
    assert set(MATCH_KEY_KINDS) == set(MatchKeyKind)
    assert {facts.strength for facts in MATCH_KEY_KINDS.values()} == set(Strength)
    assert "222845374" not in repr(MatchKey(MatchKeyKind.SSN, "222845374"))


def test_a_misspelled_name_and_a_lost_street_meet_by_house_and_city() -> None:
    lost = Identifier(kind=IdentifierKind.ADDRESS, value="12 The Elms, Boston, MA 02139")
    whole = Identifier(kind=IdentifierKind.ADDRESS, value="12 Oak Street, Boston, MA 02101")
    one = person(surname="Rawlings", born="", address=whole)
    assert satisfied(one, person(surname="Rawligs", born="", address=lost))
    assert not satisfied(one, person(surname="Ortiz", born="", address=lost))
