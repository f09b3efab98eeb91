"""Tokens: equal for equal match keys of one epoch and class, and saying nothing else."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voprf import ristretto

from schemas.vocabulary import MATCH_KEY_KINDS, MatchKeyKind, TokenClass
from silenthit.blinding.prf import (
    EpochSecrets,
    LocalKey,
    prf_input,
    token_class,
    token_from_outputs,
)
from silenthit.errors import InputError, SettingsError
from silenthit.identity.match_keys import MatchKey

ONE = EpochSecrets(1, {of: bytes([of]) * 32 for of in TokenClass})
TWO = EpochSecrets(2, ONE.seeds)
PRF = LocalKey([ONE, TWO])
SSN = MatchKey(MatchKeyKind.SSN, "219099999")

keys = st.builds(MatchKey, st.sampled_from(MatchKeyKind), st.text(max_size=30))


@given(st.lists(keys, max_size=4))
@settings(max_examples=30)
def test_tokens_come_in_order_with_their_widths(wanted: list[MatchKey]) -> None:
    tokens = PRF.tokens(1, wanted)
    assert [each.kind for each in tokens] == [key.kind for key in wanted]
    assert all((len(each.value), len(each.secret)) == (16, 32) for each in tokens)
    assert tokens == PRF.tokens(1, wanted)


@given(keys, keys)
@settings(max_examples=60)
def test_equal_keys_and_only_they_have_equal_tokens(one: MatchKey, other: MatchKey) -> None:
    first, second = PRF.tokens(1, [one, other])
    assert (first.value == second.value) == (one == other)


def test_an_epoch_and_a_holder_have_tokens_of_their_own() -> None:
    elsewhere = EpochSecrets(1, {of: bytes(32) for of in TokenClass})
    values = [
        PRF.tokens(1, [SSN])[0].value,
        PRF.tokens(2, [SSN])[0].value,  # the same seeds, another epoch
        LocalKey([elsewhere]).tokens(1, [SSN])[0].value,
        LocalKey([ONE], [elsewhere]).tokens(1, [SSN])[0].value,
        LocalKey([elsewhere], [ONE]).tokens(1, [SSN])[0].value,
    ]
    assert all(a != b for a, b in combinations(values, 2))


def test_each_class_has_a_secret_of_its_own_though_the_seeds_are_one() -> None:
    same = EpochSecrets(1, dict.fromkeys(TokenClass, bytes(32)))
    publics = {same.evaluator(of).public_key.serialize() for of in TokenClass}
    assert len(publics) == len(TokenClass)


@given(st.sampled_from(MatchKeyKind), st.text(max_size=30))
@settings(max_examples=25)
def test_asking_blinded_gives_the_same_token(kind: MatchKeyKind, value: str) -> None:
    key = MatchKey(kind, value)
    holder = ONE.evaluator(token_class(key))
    framed = prf_input(1, key)
    client, blinded = ristretto.Client.blind(framed)
    asked = client.finalize(holder.evaluate(blinded), holder.public_key)
    assert token_from_outputs(kind, [asked]) == PRF.tokens(1, [key])[0]
    again = ristretto.Client.blind(framed)[1]
    assert blinded.serialize() != again.serialize()


@given(keys, keys, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_no_two_questions_share_their_bytes(
    one: MatchKey, other: MatchKey, epoch: int, later: int
) -> None:
    same = (one, epoch) == (other, later)
    assert (prf_input(epoch, one) == prf_input(later, other)) == same


def test_the_framing_is_label_epoch_kind_value() -> None:
    assert prf_input(258, SSN) == b"silenthit/1\0\0\1\2\x01219099999"


@pytest.mark.parametrize("kind", MatchKeyKind, ids=lambda kind: kind.name)
def test_a_kind_is_evaluated_by_its_class(kind: MatchKeyKind) -> None:
    assert token_class(MatchKey(kind, "x")) is MATCH_KEY_KINDS[kind].token_class


@pytest.mark.parametrize("epoch", [0, 3, -1, 2**40])
def test_an_unknown_epoch_is_told(epoch: int) -> None:
    with pytest.raises(SettingsError, match="epoch"):
        PRF.tokens(epoch, [SSN])


def test_a_key_too_long_for_the_protocol_is_refused_unquoted() -> None:
    with pytest.raises(InputError) as error:
        PRF.tokens(1, [MatchKey(MatchKeyKind.EMAIL, "m" * 60_001)])
    assert "mmm" not in str(error.value)
