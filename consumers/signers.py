"""Trusted signers: the agencies whose signatures a partner accepts."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consumers.vault import SIGNERS, Rows
from schemas.parts import Frozen
from silenthit.errors import InputError


class TrustedSigner(Frozen):
    """What an agency hands over in `signer.json`: its key id, name and Ed25519 key (hex, raw)."""

    key_id: str
    name: str
    public_key: str

    def key(self) -> Ed25519PublicKey:
        """Return the key. Raises ValueError when it is none."""
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))


def read_signer(path: Path) -> TrustedSigner:
    """Read a hand-over file. Raises InputError naming the file."""
    try:
        signer = TrustedSigner.model_validate_json(path.read_bytes())
        signer.key()
    except (OSError, ValueError):
        raise InputError(
            f"expected an agency's signer.json in {path}; ask the agency for the file that "
            "`silenthit agency init` wrote"
        ) from None
    return signer


def trust(into: Rows, signer: TrustedSigner) -> None:
    """Accept this agency's signatures from now on."""
    into.put(SIGNERS, signer.key_id.encode(), {"private": signer.model_dump_json().encode()})


def trusted(rows: Rows) -> list[TrustedSigner]:
    """Return every trusted signer, by key id."""
    found = [TrustedSigner.model_validate_json(row["private"]) for row in rows.find(SIGNERS)]
    return sorted(found, key=lambda signer: signer.key_id)


def verify_keys(rows: Rows) -> dict[str, Ed25519PublicKey]:
    """Return each trusted key by its id."""
    return {signer.key_id: signer.key() for signer in trusted(rows)}
