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

import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from voprf import ristretto

from schemas.packing import TOKEN_BYTES
from schemas.vocabulary import MATCH_KEY_KINDS, MatchKeyKind, TokenClass
from silenthit.errors import InputError, SettingsError
from silenthit.identity.match_keys import MatchKey

SECRET_BYTES = 32
SEED_BYTES = 32


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
    if len(value) > 60_000:
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


@dataclass(frozen=True, slots=True)
class EpochSecrets:
    """One key holder's secrets of one epoch: a seed (32 bytes) a token class."""

    epoch: int
    seeds: dict[TokenClass, bytes] = field(repr=False)

    @classmethod
    def generate(cls, epoch: int) -> EpochSecrets:
        """Make fresh random secrets."""
        return cls(epoch, {each: secrets.token_bytes(SEED_BYTES) for each in TokenClass})

    @classmethod
    def load(cls, path: Path) -> EpochSecrets:
        """Read secrets from a file that `save` wrote. Raises SettingsError naming the file."""
        try:
            content = json.loads(path.read_text("utf-8"))
            seeds = {
                each: bytes.fromhex(content["seeds"][each.name.lower()]) for each in TokenClass
            }
            if any(len(seed) != SEED_BYTES for seed in seeds.values()):
                raise ValueError
            return cls(int(content["epoch"]), seeds)
        except (OSError, ValueError, KeyError, TypeError):
            raise SettingsError(
                f"expected epoch secrets in {path}; make them with `silenthit keyholder generate`"
            ) from None

    def save(self, path: Path) -> None:
        """Write the secrets to a new file readable by its owner alone."""
        content = {
            "epoch": self.epoch,
            "seeds": {each.name.lower(): seed.hex() for each, seed in self.seeds.items()},
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)

    def evaluator(self, of: TokenClass) -> ristretto.Evaluator:
        """Return the VOPRF server of one class (RFC 9497 DeriveKeyPair over seed and label)."""
        info = f"silenthit/1 epoch {self.epoch} class {of.name.lower()}".encode()
        return ristretto.Evaluator.from_seed(self.seeds[of], info)


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
        wanted, framed = (epoch, token_class(key)), prf_input(epoch, key)
        try:
            outputs = [holder[wanted].evaluate_known_input(framed) for holder in self._evaluators]
        except KeyError:
            raise SettingsError(
                f"expected secrets of epoch {epoch}; ask the key holder which epoch is current"
            ) from None
        return token_from_outputs(key.kind, outputs)
