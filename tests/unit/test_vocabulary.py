"""The words on the wire are complete, and their numbers are not used twice."""

from __future__ import annotations

import re
from enum import Enum

import pytest

from schemas.vocabulary import (
    COARSE_KIND,
    INDICATORS,
    MATCH_KEY_KINDS,
    NIBRS_OFFENCES,
    CoarseKind,
    Element,
    MatchKeyKind,
    TokenClass,
    TouchKind,
)


def test_every_touch_kind_has_a_coarse_kind_and_every_coarse_kind_is_used() -> None:
    assert set(COARSE_KIND) == set(TouchKind)
    assert set(COARSE_KIND.values()) == set(CoarseKind)


def test_every_match_key_kind_has_its_facts() -> None:
    assert set(MATCH_KEY_KINDS) == set(MatchKeyKind)
    assert all(facts.fields for facts in MATCH_KEY_KINDS.values())


@pytest.mark.parametrize("numbers", [MatchKeyKind, TokenClass])
def test_no_number_is_used_twice_and_each_fits_a_byte(numbers: type[Enum]) -> None:
    values = [member.value for member in numbers.__members__.values()]
    assert len(values) == len(set(values))
    assert all(0 < value < 256 for value in values)


def test_nothing_alone_of_low_entropy_is_a_kind() -> None:
    """A birth date or a surname alone would be counted by the exchange."""
    for facts in MATCH_KEY_KINDS.values():
        assert facts.fields not in ({"birth_date"}, {"surname"}, {"given"}, {"street_name"})


def test_offences_are_nibrs_codes_with_both_of_human_trafficking() -> None:
    assert all(re.fullmatch(r"[0-9]{2}[0-9A-Z]", code) for code in NIBRS_OFFENCES)
    assert "Commercial Sex" in NIBRS_OFFENCES["64A"]
    assert "Involuntary Servitude" in NIBRS_OFFENCES["64B"]


def test_indicators_cover_act_means_and_purpose_and_name_their_sources() -> None:
    assert {each.element for each in INDICATORS.values()} == set(Element)
    assert all(each.source and each.meaning for each in INDICATORS.values())
    assert all(re.fullmatch(r"[a-z_]+", key) for key in INDICATORS)
