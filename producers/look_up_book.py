"""The agency's own record of look-ups: who looked up whom, why, and what came of it."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from silenthit.errors import SettingsError

_NONCE_BYTES = 12
_SCHEMA = """
CREATE TABLE IF NOT EXISTS look_up (
    inquiry_id BLOB PRIMARY KEY,
    asked_at TEXT NOT NULL,
    content BLOB NOT NULL,       -- encrypted: officer, purpose, case number, subject
    status TEXT NOT NULL,        -- asked, then answered, or why not
    contacts INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
"""


class LookUpBook:
    """Beside the outbox, in the same file, encrypted with its key; lines are never taken out."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA busy_timeout=30000")
        self._db.execute(_SCHEMA)

    def asked(self, inquiry_id: bytes, content: dict[str, Any]) -> None:
        """Write down a look-up before it is sent."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        box = nonce + self._cipher.encrypt(nonce, json.dumps(content).encode(), inquiry_id)
        self._db.execute(
            "INSERT INTO look_up (inquiry_id, asked_at, content, status) VALUES (?, ?, ?, 'asked')",
            (inquiry_id, datetime.now(UTC).isoformat(timespec="seconds"), box),
        )

    def ended(self, inquiry_id: bytes, status: str, contacts: int = 0) -> None:
        """Note what came of it."""
        self._db.execute(
            "UPDATE look_up SET status = ?, contacts = ? WHERE inquiry_id = ?",
            (status, contacts, inquiry_id),
        )

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield every look-up, in order. Raises SettingsError with another outbox's key."""
        query = "SELECT inquiry_id, asked_at, content, status, contacts FROM look_up ORDER BY 2"
        with closing(self._db.execute(query)) as cursor:
            for inquiry_id, asked_at, box, status, contacts in cursor:
                yield {
                    "inquiry_id": inquiry_id.hex(),
                    "asked_at": asked_at,
                    "status": status,
                    "contacts": contacts,
                    **self._content(inquiry_id, box),
                }

    def _content(self, inquiry_id: bytes, box: bytes) -> dict[str, Any]:
        try:
            plain = self._cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], inquiry_id)
        except InvalidTag:
            raise SettingsError(
                "expected the key that these look-ups were written with; restore keys/outbox.key"
            ) from None
        content: dict[str, Any] = json.loads(plain)
        return content

    def close(self) -> None:
        """Close the file."""
        self._db.close()
