"""Backups of an epoch's secrets: one sealed file and two shares of its key, for two custodians.

The file is AES-256-GCM under a random key; the key is the exclusive or of two shares, so neither
the file nor a share alone says anything, and erasing either share makes every copy of the file
worthless. An epoch is destroyed only after each of its backups is.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from key_holder import log
from key_holder.custody import erase_file
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.certificates import write_private
from silenthit.errors import InputError

_KEY_BYTES = 32
_NONCE_BYTES = 12
_MAGIC = b"SHBK1\n"


def make(
    book: sqlite3.Connection, held: EpochSecrets, to: Path, shares: tuple[Path, Path], now: float
) -> str:
    """Write a backup and the two shares, each to a new file. Call it within a transaction.

    Returns the backup's digest (hex), by which it is on record.
    """
    first, second = secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(_KEY_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    label = _MAGIC + held.epoch.to_bytes(4, "big")
    sealed = AESGCM(_both(first, second)).encrypt(nonce, held.serialised(), label)
    content = label + nonce + sealed
    digest = sha256(content).hexdigest()
    write_private(to, content)
    for path, share in zip(shares, (first, second), strict=True):
        write_private(path, json.dumps({"backup": digest, "share": share.hex()}).encode())
    book.execute("INSERT INTO backups VALUES (?, ?, ?, NULL)", (digest, held.epoch, now))
    log.append(book, now, "backed_up", epoch=held.epoch, backup=digest)
    return digest


def restore(path: Path, shares: tuple[Path, Path]) -> EpochSecrets:
    """Open a backup with its two shares. Raises InputError when they do not belong together."""
    content = _read(path)
    head = len(_MAGIC) + 4
    key = _both(*(_share(each, sha256(content).hexdigest()) for each in shares))
    nonce, sealed = content[head : head + _NONCE_BYTES], content[head + _NONCE_BYTES :]
    try:
        return EpochSecrets.parse(AESGCM(key).decrypt(nonce, sealed, content[:head]))
    except (InvalidTag, ValueError, KeyError):
        raise InputError(
            f"expected the two shares that were made with {path}, got others; ask both custodians"
        ) from None


def destroy(book: sqlite3.Connection, file: Path, now: float) -> str:
    """Erase a share (or the backup itself) and put the backup on record as destroyed.

    Call it within a transaction. One share is enough: the key can't be made again without it.
    """
    content = _read(file)
    digest = sha256(content).hexdigest()
    if not content.startswith(_MAGIC):
        try:
            digest = str(json.loads(content)["backup"])
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"expected a backup or a share of one in {file}, got neither"
            ) from None
    marked = book.execute(
        "UPDATE backups SET destroyed_at = ? WHERE digest = ? AND destroyed_at IS NULL",
        (now, digest),
    )
    if not marked.rowcount:
        raise InputError(
            f"expected {file} of a backup on record, got one unknown or destroyed before; see "
            "`silenthit keyholder status`"
        )
    erase_file(file)
    log.append(book, now, "backup_destroyed", backup=digest)
    return digest


def _both(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


def _share(path: Path, digest: str) -> bytes:
    try:
        fields = json.loads(_read(path))
        share = bytes.fromhex(fields["share"])
        belongs = fields["backup"] == digest and len(share) == _KEY_BYTES
    except (ValueError, KeyError, TypeError):
        belongs = False
    if not belongs:
        raise InputError(f"expected a share of this backup in {path}, got something else")
    return share


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"expected a file at {path}, got: {error.strerror}") from None
