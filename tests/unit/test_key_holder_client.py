"""Tokens by asking: equal to LocalKey's, and refused by their cause when anything is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.vocabulary import TokenClass
from silenthit.blinding.batches import ELEMENT_BYTES, Batch, decode_request
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.epochs import EpochState
from silenthit.blinding.key_holder_client import KeyHolderClient
from silenthit.blinding.prf import LocalKey
from silenthit.errors import RefusedError, SettingsError
from tests.key_holders import NearbyHolder, match_keys


@pytest.fixture
def secrets() -> EpochSecrets:
    return EpochSecrets.generate(1)


@pytest.fixture
def holder(tmp_path: Path, secrets: EpochSecrets) -> NearbyHolder:
    return NearbyHolder(tmp_path / "secrets", [secrets, EpochSecrets.generate(2)])


def test_gives_the_tokens_of_local_key(holder: NearbyHolder, secrets: EpochSecrets) -> None:
    keys = match_keys(18)
    assert KeyHolderClient([holder]).tokens(1, keys) == LocalKey([secrets]).tokens(1, keys)


def test_two_holders_give_the_tokens_of_local_key_with_both(tmp_path: Path) -> None:
    first, second = EpochSecrets.generate(1), EpochSecrets.generate(1)
    links = [
        NearbyHolder(tmp_path / "a", [first], name="federal"),
        NearbyHolder(tmp_path / "b", [second], name="state"),
    ]
    keys = match_keys(18)
    expected = LocalKey([first], [second]).tokens(1, keys)
    assert KeyHolderClient(links).tokens(1, keys) == expected


def test_the_holder_sees_no_two_questions_alike(holder: NearbyHolder) -> None:
    keys = match_keys(3)
    for _ in range(2):
        KeyHolderClient([holder]).tokens(1, keys)
    first, second = (decode_request(each).sections for each in holder.asked)
    assert first[TokenClass.PERSON] != second[TokenClass.PERSON]


def test_repeated_match_keys_are_asked_once(holder: NearbyHolder) -> None:
    client, keys = KeyHolderClient([holder]), match_keys(3)
    tokens = client.tokens(1, keys + keys)
    assert tokens[:3] == tokens[3:] == client.tokens(1, keys)
    assert len(holder.asked) == 1


def test_the_cache_is_bounded(holder: NearbyHolder) -> None:
    client = KeyHolderClient([holder], cache_size=2)
    client.tokens(1, match_keys(3))
    client.tokens(1, match_keys(3)[1:])
    assert len(holder.asked) == 1
    client.tokens(1, match_keys(3)[:1])
    assert len(holder.asked) == 2


def test_the_cache_keeps_no_plaintext(holder: NearbyHolder) -> None:
    client = KeyHolderClient([holder])
    client.tokens(1, match_keys(3))
    assert "invented" not in repr(vars(client))


def _flip(section: bytes, at: int) -> bytes:
    return section[:at] + bytes([section[at] ^ 1]) + section[at + 1 :]


def _swap(section: bytes) -> bytes:
    one, two = section[:ELEMENT_BYTES], section[ELEMENT_BYTES : 2 * ELEMENT_BYTES]
    return two + one + section[2 * ELEMENT_BYTES :]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda section: _flip(section, -1), id="wrong proof"),
        pytest.param(lambda section: _flip(section, 3), id="changed element"),
        pytest.param(_swap, id="swapped elements"),
    ],
)
def test_refuses_an_answer_that_is_not_proven(
    holder: NearbyHolder, change: Callable[[bytes], bytes]
) -> None:
    holder.tamper = lambda answer: replace(
        answer, sections={of: change(section) for of, section in answer.sections.items()}
    )
    with pytest.raises(RefusedError, match="a wrong proof, or elements swapped or changed"):
        KeyHolderClient([holder]).tokens(1, match_keys(6))


def test_names_the_epoch_whose_key_was_used_instead(tmp_path: Path) -> None:
    secrets = [EpochSecrets.generate(1), EpochSecrets.generate(2)]
    holder = NearbyHolder(tmp_path / "one", secrets)
    wrong = NearbyHolder(tmp_path / "other", secrets)

    def by_epoch_2(answer: Batch) -> Batch:
        batch = decode_request(holder.asked[-1])
        wrong_secrets = {
            of: wrong._custody.evaluate(
                2, of, [section[i : i + 32] for i in range(0, len(section), 32)]
            )
            for of, section in batch.sections.items()
        }
        return replace(answer, sections=wrong_secrets)

    holder.tamper = by_epoch_2
    with pytest.raises(RefusedError, match="one under another key, of epoch 2, class person"):
        KeyHolderClient([holder]).tokens(1, match_keys(6))


def test_refuses_an_answer_that_says_another_epoch(holder: NearbyHolder) -> None:
    holder.tamper = lambda answer: replace(answer, epoch=2)
    with pytest.raises(RefusedError, match="another epoch, 2"):
        KeyHolderClient([holder]).tokens(1, match_keys(3))


def test_refuses_the_answer_to_an_earlier_batch(holder: NearbyHolder) -> None:
    kept: list[Batch] = []

    def replay(answer: Batch) -> Batch:
        kept.append(answer)
        return kept[0]

    holder.tamper = replay
    client = KeyHolderClient([holder])
    client.tokens(1, match_keys(3))
    with pytest.raises(RefusedError, match="a replayed one"):
        client.tokens(1, match_keys(3, "other"))


def test_an_earlier_answer_under_the_new_batch_id_is_refused_too(holder: NearbyHolder) -> None:
    kept: list[Batch] = []

    def replay(answer: Batch) -> Batch:
        kept.append(answer)
        return replace(kept[0], batch_id=answer.batch_id)

    holder.tamper = replay
    client = KeyHolderClient([holder])
    client.tokens(1, match_keys(3))
    with pytest.raises(RefusedError, match="a wrong proof"):
        client.tokens(1, match_keys(3, "other"))


def test_refuses_a_destroyed_epoch_even_from_the_cache(holder: NearbyHolder) -> None:
    client = KeyHolderClient([holder])
    client.tokens(1, match_keys(3))
    holder.states[1] = EpochState.DESTROYED
    with pytest.raises(RefusedError, match="destroyed"):
        client.tokens(1, match_keys(3))
    assert not client._cache


def test_names_an_unknown_epoch(holder: NearbyHolder) -> None:
    with pytest.raises(SettingsError, match="got 9"):
        KeyHolderClient([holder]).tokens(9, match_keys(1))


def test_errors_quote_no_match_key(holder: NearbyHolder) -> None:
    holder.tamper = lambda answer: replace(answer, epoch=2)
    with pytest.raises(RefusedError) as caught:
        KeyHolderClient([holder]).tokens(1, match_keys(3, "Doe"))
    assert "Doe" not in str(caught.value)
