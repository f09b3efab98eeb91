"""Private columns: AES-256-GCM with the vault's key (`vault_keys`), bound to their place.

A cell that is moved to another table, column or row no longer opens.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from silenthit.errors import SealError

NONCE_BYTES = 12


class Cells:
    """Seals and opens the private columns of one vault; its repr holds no key."""

    def __init__(self, key: bytes) -> None:
        """Take the 32 bytes of `load_key`."""
        self._cipher = AESGCM(key)
        info = b"silenthit/1/vault log"
        self.log_key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)

    def close(self, table: str, column: str, row: bytes, content: bytes) -> bytes:
        """Return nonce and ciphertext of one cell."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, _place(table, column, row))

    def open(self, table: str, column: str, row: bytes, cell: bytes) -> bytes:
        """Undo `close`. Raises SealError for another key, another place or a changed cell."""
        nonce, sealed = cell[:NONCE_BYTES], cell[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, sealed, _place(table, column, row))
        except (InvalidTag, ValueError):
            raise SealError(
                f"expected {table}.{column} as this vault's key sealed it, got other bytes; use "
                "the key file that belongs to this vault, or restore the vault from its backup"
            ) from None


def _place(table: str, column: str, row: bytes) -> bytes:
    framed = b"silenthit/1/vault"
    for each in (table.encode(), column.encode(), row):
        framed += len(each).to_bytes(2, "big") + each
    return framed
