"""Epoch secrets: the seeds of one key holder for one epoch, and the file they rest in."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from voprf import ristretto

from schemas.vocabulary import TokenClass
from silenthit.errors import InputError, SettingsError

SEED_BYTES = 32


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
            return cls.parse(path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise SettingsError(
                f"expected epoch secrets in {path}; make them with `silenthit keyholder generate`"
            ) from None

    @classmethod
    def parse(cls, content: bytes) -> EpochSecrets:
        """Read what `serialised` gave.

        Raises ValueError, KeyError, TypeError, OverflowError or RecursionError for other bytes.
        """
        fields = json.loads(content)
        seeds = {each: bytes.fromhex(fields["seeds"][each.name.lower()]) for each in TokenClass}
        if any(len(seed) != SEED_BYTES for seed in seeds.values()):
            raise ValueError("expected seeds of 32 bytes")
        return cls(int(fields["epoch"]), seeds)

    def serialised(self) -> bytes:
        """Return the content of a secrets file."""
        content = {
            "epoch": self.epoch,
            "seeds": {each.name.lower(): seed.hex() for each, seed in self.seeds.items()},
        }
        return json.dumps(content).encode()

    def save(self, path: Path) -> None:
        """Write a new file readable by its owner alone. Raises InputError when there is one."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise InputError(
                f"expected no file at {path}, got one; secrets are never overwritten, name another"
            ) from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.serialised())

    def evaluator(self, of: TokenClass) -> ristretto.Evaluator:
        """Return the VOPRF server of one class (RFC 9497 DeriveKeyPair over seed and label)."""
        info = f"silenthit/1 epoch {self.epoch} class {of.name.lower()}".encode()
        return ristretto.Evaluator.from_seed(self.seeds[of], info)
