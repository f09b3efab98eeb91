"""Split trust: either secret alone gives nothing, not even with the exchange's tokens in hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.prf import LocalKey, Token, prf_input, token_class, token_from_outputs
from silenthit.identity.match_keys import MatchKey

FEDERAL, STATE = EpochSecrets.generate(1), EpochSecrets.generate(1)
_INVENTED = EpochSecrets.generate(1)
PHONE_BOOK = [MatchKey(MatchKeyKind.PHONE, f"+1617555{number:04}") for number in range(300)]
WATCHED = PHONE_BOOK[100:110]
AT_THE_EXCHANGE = {each.value for each in LocalKey([FEDERAL], [STATE]).tokens(1, WATCHED)}

Attack = Callable[[EpochSecrets, MatchKey], Token]


def _output(secrets: EpochSecrets, key: MatchKey) -> bytes:
    output: bytes = secrets.evaluator(token_class(key)).evaluate_known_input(prf_input(1, key))
    return output


ATTACKS: dict[str, Attack] = {
    "alone": lambda held, key: token_from_outputs(key.kind, [_output(held, key)]),
    "its own twice": lambda held, key: token_from_outputs(key.kind, [_output(held, key)] * 2),
    "zeros after": lambda held, key: token_from_outputs(key.kind, [_output(held, key), bytes(64)]),
    "zeros before": lambda held, key: token_from_outputs(key.kind, [bytes(64), _output(held, key)]),
    "an unkeyed hash after": lambda held, key: token_from_outputs(
        key.kind, [_output(held, key), hashlib.sha512(prf_input(1, key)).digest()]
    ),
    "an invented key after": lambda held, key: LocalKey([held], [_INVENTED]).tokens(1, [key])[0],
    "an invented key before": lambda held, key: LocalKey([_INVENTED], [held]).tokens(1, [key])[0],
}


@pytest.mark.parametrize("held", [FEDERAL, STATE], ids=["federal", "state"])
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_one_secret_finds_nobody_in_the_phone_book(held: EpochSecrets, attack: Attack) -> None:
    assert not [key for key in PHONE_BOOK if attack(held, key).value in AT_THE_EXCHANGE]


def test_both_secrets_find_exactly_the_watched() -> None:
    both = LocalKey([FEDERAL], [STATE]).tokens(1, PHONE_BOOK)
    found = [
        key for key, token in zip(PHONE_BOOK, both, strict=True) if token.value in AT_THE_EXCHANGE
    ]
    assert found == WATCHED


def test_the_other_order_is_another_token() -> None:
    one, two = LocalKey([FEDERAL], [STATE]), LocalKey([STATE], [FEDERAL])
    assert one.tokens(1, WATCHED) != two.tokens(1, WATCHED)


def test_with_one_secret_fixed_every_token_is_still_possible() -> None:
    """Whatever the other secret is, tokens spread evenly: a chi-square over their first bytes."""
    key, counts = WATCHED[0], [0] * 16
    federal = _output(FEDERAL, key)
    for _ in range(1600):
        token = token_from_outputs(key.kind, [federal, _output(EpochSecrets.generate(1), key)])
        counts[token.value[0] % 16] += 1
    chi_square = sum((count - 100) ** 2 / 100 for count in counts)
    assert chi_square < 50  # 15 degrees of freedom: by chance less than once in 60,000 runs
