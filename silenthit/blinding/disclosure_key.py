"""What the record of disclosures is sealed to: a partner's key, a court's key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field

from silenthit.certificates import write_private
from silenthit.errors import InputError

PublicKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # X25519, in hex


class DisclosureKey(BaseModel):
    """What the file says; nothing in it is secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    partner: str
    key: PublicKey

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises InputError for any other."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            raise InputError(
                f"expected a partner's disclosure key in {path}; ask it for what "
                "`silenthit partner disclosure-key --out` writes"
            ) from None


def make_private(path: Path) -> str:
    """Write a new private key (hex), for its owner alone; return the public one (hex).

    Raises InputError when there is one.
    """
    key = X25519PrivateKey.generate()
    write_private(path, key.private_bytes_raw().hex().encode() + b"\n")
    return key.public_key().public_bytes_raw().hex()


def load_private(path: Path) -> X25519PrivateKey:
    """Read a private key. Raises InputError for another file."""
    try:
        return X25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip()))
    except (OSError, ValueError):
        raise InputError(
            f"expected a private key in {path}, as `silenthit exchange disclosures court-key` "
            "makes it"
        ) from None
