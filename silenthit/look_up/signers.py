"""The agencies whose cards a look-up may show: their `signer.json` files, in one folder."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field

from silenthit.errors import InputError


class _Signer(BaseModel):
    """What of `signer.json` counts here; a copy of it is kept under its key id."""

    model_config = ConfigDict(frozen=True)

    key_id: str = Field(pattern=r"^[\w-]+#\d+$")
    public_key: str


def read_signer(path: Path) -> tuple[str, Ed25519PublicKey]:
    """Return key id and public key of a hand-over file. Raises InputError naming the file."""
    try:
        found = _Signer.model_validate_json(path.read_bytes())
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found.public_key))
    except (OSError, ValueError):
        raise InputError(
            f"expected an agency's signer.json in {path}; ask the agency for the file that "
            "`silenthit agency init` wrote"
        ) from None
    return found.key_id, key


def trust(folder: Path, handed_over: Path) -> str:
    """Keep a copy of a hand-over file; return its key id. Raises InputError for another file."""
    key_id, _ = read_signer(handed_over)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{key_id.replace('#', '-')}.json").write_bytes(handed_over.read_bytes())
    return key_id


def trusted(folder: Path) -> dict[str, Ed25519PublicKey]:
    """Return the public keys kept there, by key id."""
    return dict(read_signer(path) for path in sorted(folder.glob("*.json")))
