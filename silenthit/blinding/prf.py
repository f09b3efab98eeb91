"""Tokens: match keys blinded by the key holder's secret, RFC 9497 VOPRF(ristretto255, SHA-512).

    >>> from silenthit.identity.match_keys import MatchKey
    >>> from schemas.vocabulary import MatchKeyKind
    >>> prf = LocalKey([EpochSecrets.generate(epoch=1)])
    >>> key = MatchKey(MatchKeyKind.SSN, "219099999")
    >>> prf.tokens(1, [key]) == prf.tokens(1, [key])
    True

`LocalKey` holds the secret itself (development, benchmarks, the reference in tests);
`key_holder_client.KeyHolderClient` asks for it. Both give the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.packing import TOKEN_BYTES
from schemas.vocabulary import MATCH_KEY_KINDS, MatchKeyKind, TokenClass
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.errors import InputError, SettingsError
from silenthit.identity.match_keys import MatchKey

__all__ = [
    "EpochSecrets",
    "LocalKey",
    "Prf",
    "Token",
    "prf_input",
    "token_class",
    "token_from_outputs",
]

SECRET_BYTES = 32
MOST_INPUT_BYTES = 60_000


@dataclass(frozen=True, slots=True)
class Token:
    """A blinded match key: 16 bytes that the exchange sees, 32 that open locks and stay secret."""

    kind: MatchKeyKind
    value: bytes = field(repr=False)
    secret: bytes = field(repr=False)


class Prf(Protocol):
    """Whoever turns match keys into tokens."""

    def tokens(self, epoch: int, keys: Sequence[MatchKey]) -> list[Token]:
        """Return one token a match key, in order.

        Raises RetryError when a key holder is away or a quota is spent, SettingsError for an
        epoch that has no secret here.
        """
        ...


def prf_input(epoch: int, key: MatchKey) -> bytes:
    """Frame what the key holder evaluates: label, epoch (u32), kind (u8), value in UTF-8.

    All fields but the last have one width, so no two inputs share bytes.
    Raises InputError for a value over 60,000 bytes (RFC 9497 allows 2^16 - 1 in all).
    """
    value = key.value.encode()
    if len(value) > MOST_INPUT_BYTES:
        raise InputError(f"expected a match key of at most 60,000 bytes, got {len(value)}")
    return b"silenthit/1" + epoch.to_bytes(4, "big") + bytes([key.kind]) + value


def token_class(key: MatchKey) -> TokenClass:
    """Which of an epoch's secrets evaluates this match key."""
    return MATCH_KEY_KINDS[key.kind].token_class


def token_from_outputs(kind: MatchKeyKind, outputs: Sequence[bytes]) -> Token:
    """Derive a token from the outputs of every key holder, 64 bytes each, in the holders' order.

    HKDF-SHA256 (RFC 5869) over their concatenation: with two holders, neither output alone says
    anything of the token.
    """
    material = HKDF(
        algorithm=SHA256(), length=TOKEN_BYTES + SECRET_BYTES, salt=None, info=b"silenthit/1/token"
    ).derive(b"".join(outputs))
    return Token(kind, material[:TOKEN_BYTES], material[TOKEN_BYTES:])


class LocalKey:
    """A PRF with the secrets at hand: no key holder, so only for development and measurement."""

    def __init__(self, *holders: Sequence[EpochSecrets]) -> None:
        """Take, for each key holder in order, its secrets of every epoch."""
        self._evaluators = [
            {(each.epoch, of): each.evaluator(of) for each in holder for of in TokenClass}
            for holder in holders
        ]

    def tokens(self, epoch: int, keys: Sequence[MatchKey]) -> list[Token]:
        """Return one token a match key, in order. Raises SettingsError for an unknown epoch."""
        return [self._token(epoch, key) for key in keys]

    def _token(self, epoch: int, key: MatchKey) -> Token:
        wanted = (epoch, token_class(key))
        try:
            evaluators = [holder[wanted] for holder in self._evaluators]
        except KeyError:
            raise SettingsError(
                f"expected secrets of epoch {epoch}; ask the key holder which epoch is current"
            ) from None
        framed = prf_input(epoch, key)
        outputs = [each.evaluate_known_input(framed) for each in evaluators]
        return token_from_outputs(key.kind, outputs)
