"""The public keys that the exchange hands to its partners, for slots and for registrations."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field

from silenthit.certificates import write_private
from silenthit.errors import InputError, SettingsError

DAY_S = 86_400


class DeconflictionKey(BaseModel):
    """What the file says; nothing in it is secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key: str = Field(pattern=r"^[0-9a-f]{64}$")  # X25519
    settles_s: int = Field(default=DAY_S, ge=0)  # how long a ground is stated before it counts
    # X25519, of the matching workers (blinding.sealed_watches); none: registrations go unsealed
    watches: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises InputError for any other."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            raise InputError(
                f"expected the exchange's deconfliction key in {path}; ask its operator for what "
                "`silenthit exchange deconflict-key` prints"
            ) from None


def make_private_key(path: Path) -> None:
    """Write a new private key (hex), for its owner alone. Raises InputError when there is one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, X25519PrivateKey.generate().private_bytes_raw().hex().encode() + b"\n")


def load_private_key(path: Path) -> X25519PrivateKey:
    """Read it. Raises SettingsError when it is not there, or is none."""
    try:
        return X25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("utf-8").strip()))
    except (OSError, ValueError):
        raise SettingsError(
            f"expected the exchange's own deconfliction key in {path}, got none; make one with "
            "`silenthit exchange deconflict-key --new`, and hand the public one to every partner"
        ) from None
