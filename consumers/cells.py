"""Private columns: AES-256-GCM with a key that lies in a file of its own, bound to their place.

A cell that is moved to another table, column or row no longer opens.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from silenthit.errors import SealError, SettingsError

KEY_BYTES = 32
NONCE_BYTES = 12
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def generate_key(path: Path) -> None:
    """Write a fresh vault key to a new file readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))


def load_key(path: Path) -> bytes:
    """Read the vault key. Raises SettingsError when it is missing, cut short or open to others."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read()
    except OSError:
        raise SettingsError(
            f"expected the vault key in {path}; restore it from its backup, or begin a new vault "
            "with `silenthit partner init`"
        ) from None
    if mode & _OTHERS:
        raise SettingsError(
            f"expected the vault key {path} to be its owner's alone; run `chmod 600 {path}`"
        )
    if len(key) != KEY_BYTES:
        raise SettingsError(
            f"expected a vault key of {KEY_BYTES} bytes in {path}, got {len(key)}; restore it from "
            "its backup"
        )
    return key


class Cells:
    """Seals and opens the private columns of one vault; its repr holds no key."""

    def __init__(self, key: bytes) -> None:
        """Take the 32 bytes of `load_key`."""
        self._cipher = AESGCM(key)

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
