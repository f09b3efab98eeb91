"""Conflicts of this agency's operations with others', as they lie in the outbox's file, encrypted.

Whom to call, what overlaps, and whether it still does; one row a conflict.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from producers.outbox_file import retry_of
from schemas.parts import ContactCard, Frozen
from silenthit.blinding.locks import derived
from silenthit.errors import InputError, SettingsError

KEPT = timedelta(days=90)  # after it was withdrawn
_NONCE, _SHORTEST_ID = 12, 4
_SCHEMA = """
CREATE TABLE IF NOT EXISTS conflict (
    id BLOB PRIMARY KEY, changed_at TEXT NOT NULL, active INTEGER NOT NULL, box BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS conflict_waiting (id BLOB PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS conflict_place (
    partition INTEGER PRIMARY KEY, next INTEGER NOT NULL
);
"""


class KnownConflict(Frozen):
    """One conflict, opened and compared."""

    record_id: bytes
    number: str  # of this agency's own operation
    card: ContactCard  # whom to call
    overlaps: tuple[str, ...]  # a line each: the place and the time, or a subject
    told_at: datetime
    probes: int = 0
    withdrawn: str = ""  # why it does not stand any more


class Conflicts:
    """A connection lasts for one call, so that nothing needs to be closed."""

    def __init__(self, path: Path, key: bytes) -> None:
        """`key` is the outbox's."""
        self._path = path
        self._cipher = AESGCM(derived(key, b"silenthit/1/conflicts"))

    def put(self, ident: bytes, known: KnownConflict) -> None:
        """Keep a conflict in the place of what was known of it."""
        nonce = secrets.token_bytes(_NONCE)
        content = known.model_copy(update={"record_id": b""}).model_dump_json().encode()
        box = nonce + self._cipher.encrypt(nonce, known.record_id + content, ident)
        with self._connection() as db:
            db.execute(
                "INSERT OR REPLACE INTO conflict VALUES (?, ?, ?, ?)",
                (ident, _now(), not known.withdrawn, box),
            )

    def get(self, ident: bytes) -> KnownConflict | None:
        """What is known of a conflict."""
        with self._connection() as db:
            row = db.execute("SELECT box FROM conflict WHERE id = ?", (ident,)).fetchone()
        return self._opened(ident, row[0]) if row else None

    def all(self, *, active: bool = False) -> list[tuple[bytes, KnownConflict]]:
        """Every conflict, the one that changed last first; only those that stand, if so asked."""
        query = "SELECT id, box FROM conflict WHERE active >= ? ORDER BY changed_at DESC, id"
        with self._connection() as db:
            found = db.execute(query, (active,)).fetchall()
        return [(ident, self._opened(ident, box)) for ident, box in found]

    def find(self, beginning: str) -> tuple[bytes, KnownConflict]:
        """Return the conflict whose id begins so. Raises InputError for none, or several."""
        found = [pair for pair in self.all() if pair[0].hex().startswith(beginning.lower())]
        if len(found) != 1 or len(beginning) < _SHORTEST_ID:
            raise InputError(
                f"expected the beginning of one conflict's id, got that of {len(found)}; see "
                "`silenthit agency operation conflicts list`"
            )
        return found[0]

    def wait(self, ident: bytes, value: bytes | None) -> None:
        """Keep a message whose signer is not trusted yet, as it came; None: it waits no more."""
        with self._connection() as db:
            if value is None:
                db.execute("DELETE FROM conflict_waiting WHERE id = ?", (ident,))
            else:
                db.execute("INSERT OR REPLACE INTO conflict_waiting VALUES (?, ?)", (ident, value))

    def waiting(self) -> list[tuple[bytes, bytes]]:
        """Messages of agencies whose signature can't be checked yet."""
        with self._connection() as db:
            found: list[tuple[bytes, bytes]] = db.execute(
                "SELECT id, value FROM conflict_waiting"
            ).fetchall()
            return found

    def places(self) -> dict[int, int]:
        """The next offset to read, by partition."""
        with self._connection() as db:
            return dict(db.execute("SELECT partition, next FROM conflict_place").fetchall())

    def read_to(self, places: Mapping[int, int]) -> None:
        """Note how far the topic was read, and drop what was withdrawn long ago."""
        before = (datetime.now(UTC) - KEPT).isoformat(timespec="seconds")
        with self._connection() as db:
            db.executemany("INSERT OR REPLACE INTO conflict_place VALUES (?, ?)", places.items())
            db.execute("DELETE FROM conflict WHERE active = 0 AND changed_at < ?", (before,))

    def _opened(self, ident: bytes, box: bytes) -> KnownConflict:
        try:
            plain = self._cipher.decrypt(box[:_NONCE], box[_NONCE:], ident)
        except InvalidTag:
            raise SettingsError(
                "expected the key that these conflicts were written with; restore keys/outbox.key"
            ) from None
        found = KnownConflict.model_validate_json(plain[16:])
        return found.model_copy(update={"record_id": plain[:16]})

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            try:
                db.execute("PRAGMA busy_timeout=30000")
                db.executescript(_SCHEMA)
                yield db
            except sqlite3.Error as error:
                raise retry_of(error) from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
