"""Planned operations in the outbox's file, beside their records, until they are over.

A row is written in the transaction that accepts the record, so that no crash keeps one and loses
the other: accepted → sealed → published. What is cancelled or over is `ended`: a tombstone.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from producers.outbox_file import State, Transaction
from producers.records import Record
from producers.touch import Draft
from silenthit.blinding.locks import derived

STANDS_MS = 6 * 3_600_000  # after its end: raids overrun
_KEPT_MS = 30 * 86_400_000  # a row without content, for the day's count and who looks back
_NONCE = 12

SCHEMA = """
CREATE TABLE IF NOT EXISTS operation (
    record_id BLOB PRIMARY KEY,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,  -- cancelled or over: a tombstone
    expires_at INTEGER NOT NULL,       -- ms
    accepted_at INTEGER NOT NULL,      -- ms, its first revision
    epoch INTEGER,
    draft BLOB,                        -- encrypted, until it is over
    own BLOB,                          -- encrypted: reply key and token secrets, until it is over
    message BLOB                       -- encoded PlannedOperation, until published
)
"""


def put_draft(  # within the outbox's transaction
    db: sqlite3.Connection, record_id: bytes, revision: int, record: Record, box: bytes
) -> None:
    """Note an operation's next revision; `box` is its draft as the outbox encrypts it."""
    if record.until is None:
        return
    expires = _ms(record.until) + STANDS_MS
    db.execute(
        "INSERT INTO operation (record_id, revision, state, expires_at, accepted_at, draft)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (record_id) DO UPDATE SET revision = ?2,"
        " state = ?3, ended = 0, expires_at = ?4, draft = ?6, message = NULL, epoch = NULL",
        (record_id, revision, State.ACCEPTED, expires, _ms(datetime.now(UTC)), box),
    )


def end(db: sqlite3.Connection, record_id: bytes, revision: int) -> None:
    """Note that a record was taken back, if it is an operation. Within the outbox's transaction."""
    db.execute(
        "UPDATE operation SET revision = ?, state = ?, ended = 1, message = NULL"
        " WHERE record_id = ?",
        (revision, State.ACCEPTED, record_id),
    )


@dataclass(frozen=True, slots=True)
class Own:
    """What opens conflicts with an operation: the reply key, and the secrets of what it asks."""

    reply_key: X25519PrivateKey = field(repr=False)
    token_secrets: Mapping[bytes, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One operation that waits for the broker; without a message it is a tombstone."""

    record_id: bytes
    revision: int
    message: bytes | None = field(repr=False)


class OperationRows:
    """Reads and writes the operations of one outbox."""

    def __init__(
        self,
        db: sqlite3.Connection,
        read: Callable[[str, tuple[object, ...]], list[tuple[Any, ...]]],
        transaction: Callable[[], Transaction],
        opened: Callable[[bytes, int, bytes], Draft],
        key: bytes,
    ) -> None:
        """`read` gives the rows of a query, `opened` decrypts a draft; `key` is the outbox's."""
        self._db, self._rows, self._transaction, self._opened = db, read, transaction, opened
        self._cipher = AESGCM(derived(key, b"silenthit/1/outbox/operations"))

    def any(self) -> bool:
        """Whether there is any operation, over or not: most agencies have none."""
        return bool(self._rows("SELECT 1 FROM operation LIMIT 1", ()))

    def turn(self, now: datetime) -> bool:
        """End what is over and drop what was long ago; return whether anything stands or waits."""
        at = _ms(now)
        with self._transaction():
            self._db.execute(
                "UPDATE operation SET ended = 1, state = ?, message = NULL"
                " WHERE ended = 0 AND expires_at <= ?",
                (State.ACCEPTED, at),
            )
            self._db.execute(
                "DELETE FROM operation WHERE ended = 1 AND state = ? AND expires_at <= ?",
                (State.PUBLISHED, at - _KEPT_MS),
            )
        query = "SELECT count(*) FROM operation WHERE ended = 0 OR state <> ?"
        return bool(self._rows(query, (State.PUBLISHED,))[0][0])

    def stands(self) -> bool:
        """Whether any operation is neither cancelled nor over."""
        return bool(self._rows("SELECT count(*) FROM operation WHERE ended = 0", ())[0][0])

    def reopen(self, epoch: int) -> None:
        """Let what was sealed in another epoch be sealed again."""
        with self._transaction():
            self._db.execute(
                "UPDATE operation SET state = ?, message = NULL"
                " WHERE ended = 0 AND state <> ? AND epoch <> ?",
                (State.ACCEPTED, State.ACCEPTED, epoch),
            )

    def drafts(self) -> list[tuple[bytes, int, int, Draft]]:
        """What waits to be sealed: record id, revision, when it expires (ms), draft."""
        found = self._rows(
            "SELECT record_id, revision, expires_at, draft FROM operation"
            " WHERE state = ? AND ended = 0 AND draft IS NOT NULL",
            (State.ACCEPTED,),
        )
        return [(i, r, expires, self._opened(i, r, box)) for i, r, expires, box in found]

    def sealed(self, record_id: bytes, revision: int, epoch: int, message: bytes, own: Own) -> None:
        """Keep what is to be sent, and what opens the answers, unless a correction came between."""
        with self._transaction():
            self._db.execute(
                "UPDATE operation SET state = ?, epoch = ?, message = ?, own = ?"
                " WHERE record_id = ? AND revision = ? AND state = ? AND ended = 0",
                (
                    State.SEALED,
                    epoch,
                    message,
                    self._closed(own, record_id),
                    record_id,
                    revision,
                    State.ACCEPTED,
                ),
            )

    def outgoing(self) -> list[Row]:
        """What waits for the broker: sealed operations, and tombstones."""
        found = self._rows(
            "SELECT record_id, revision, message FROM operation"
            " WHERE (state = ? AND ended = 0) OR (state <> ? AND ended = 1)",
            (State.SEALED, State.PUBLISHED),
        )
        return [Row(*each) for each in found]

    def finished(self, rows: Iterable[Row]) -> None:
        """Note what the broker confirmed; of what is over nothing that opens anything is kept."""
        with self._transaction():
            for each in rows:
                ended = each.message is None
                kept = "draft = NULL, own = NULL, " if ended else ""
                self._db.execute(
                    f"UPDATE operation SET {kept}state = ?, message = NULL"  # noqa: S608 no value
                    " WHERE record_id = ? AND revision = ? AND ended = ?",
                    (State.PUBLISHED, each.record_id, each.revision, ended),
                )

    def own(self, record_id: bytes) -> Own | None:
        """What opens the conflicts of an operation, while it stands."""
        found = self._rows("SELECT own FROM operation WHERE record_id = ?", (record_id,))
        if not found or found[0][0] is None:
            return None
        box = found[0][0]
        content = json.loads(self._cipher.decrypt(box[:_NONCE], box[_NONCE:], record_id))
        secrets_of = {bytes.fromhex(t): bytes.fromhex(s) for t, s in content["secrets"].items()}
        key = X25519PrivateKey.from_private_bytes(bytes.fromhex(content["reply_key"]))
        return Own(key, secrets_of)

    def record(self, record_id: bytes) -> Record | None:
        """An operation that stands, as its agency wrote it; its last subject may be its place."""
        found = self._rows(
            "SELECT revision, draft FROM operation WHERE record_id = ? AND ended = 0", (record_id,)
        )
        if not found or found[0][1] is None:
            return None
        return self._opened(record_id, *found[0]).record

    def new_since(self, moment: datetime, record_id: bytes) -> int:
        """How many operations beside this were first accepted since then; 0 if it is known."""
        if self._rows("SELECT 1 FROM operation WHERE record_id = ?", (record_id,)):
            return 0
        query = "SELECT count(*) FROM operation WHERE accepted_at >= ?"
        return int(self._rows(query, (_ms(moment),))[0][0])

    def _closed(self, own: Own, record_id: bytes) -> bytes:
        content = {
            "reply_key": own.reply_key.private_bytes_raw().hex(),
            "secrets": {t.hex(): s.hex() for t, s in own.token_secrets.items()},
        }
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, json.dumps(content).encode(), record_id)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
