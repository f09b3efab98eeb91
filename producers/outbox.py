"""The outbox: a record accepted is a record kept, encrypted, until the broker has confirmed it.

One row a record: accepted (encrypted draft) → sealed (touch beside it) → published (both gone).
SQLite in WAL mode, synchronous FULL; what it returned from `accept` survives a power cut.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from producers.outbox_file import Accepted, Outgoing, State, Transaction, Waiting, open_file
from producers.touch import Draft, Entry
from silenthit.errors import InputError, RetryError, SettingsError

MAX_BYTES = 10 * 2**30
_NONCE_BYTES = 12


__all__ = ["Accepted", "Outbox", "Outgoing", "State", "Waiting"]


class Outbox:
    """One agency's outbox, for several threads and processes; `alone` is for who publishes."""

    def __init__(self, path: Path, key: bytes, *, max_bytes: int = MAX_BYTES) -> None:
        """Open or create the file, which may grow to `max_bytes` of records that wait.

        Raises SettingsError when it is no outbox of ours.
        """
        self._cipher, self._key, self._max_bytes = AESGCM(key), key, max_bytes
        self._lock = threading.RLock()
        self._db = open_file(path)
        self._turn = path.with_name(f"{path.name}.publishing")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody else on this machine publishes from this outbox.

        Two at once could send a record's revisions in the wrong order, and a compacted topic would
        keep the older one.
        """
        descriptor = os.open(self._turn, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def accept(
        self,
        drafts: Iterable[tuple[bytes, Draft]],
        expiry_month: str,
        *,
        reinstate: bool = False,
    ) -> list[Accepted]:
        """Keep drafts, each under its record id, in one transaction; return what became of each.

        The same content again changes nothing; other content is the next revision.
        Raises RetryError, having kept none of them, when disk or outbox is full or the file locked.
        """
        with self._transaction():
            self._refuse_when_full()
            sequence = self._db.execute("SELECT max(sequence) FROM record").fetchone()[0] or 0
            results = []
            for record_id, draft in drafts:
                sequence += 1
                results.append(
                    self._accept(record_id, draft, expiry_month, sequence, reinstate=reinstate)
                )
            return results

    def _refuse_when_full(self) -> None:
        size, pages, free = (
            self._db.execute(f"PRAGMA {each}").fetchone()[0]
            for each in ("page_size", "page_count", "freelist_count")
        )
        if size * (pages - free) > self._max_bytes:
            raise RetryError(
                f"expected an outbox of at most {self._max_bytes:,} bytes, got more waiting; bring "
                "broker and key holder back, or raise `outbox_max_mb`"
            )

    def _accept(
        self, record_id: bytes, draft: Draft, expiry_month: str, sequence: int, *, reinstate: bool
    ) -> Accepted:
        content = draft.model_dump_json().encode()
        digest = hmac.digest(self._key, b"silenthit/1/digest" + content, "sha256")
        known = self._db.execute(
            "SELECT revision, digest, retracted FROM record WHERE record_id = ?", (record_id,)
        ).fetchone()
        if known and known[2] and not reinstate:
            return Accepted.RETRACTED
        if known and not known[2] and hmac.compare_digest(known[1], digest):
            return Accepted.UNCHANGED
        revision = known[0] + 1 if known else 1
        self._put(
            (record_id, revision, digest, State.ACCEPTED, 0, sequence, expiry_month),
            self._encrypt(record_id, revision, content),
        )
        return Accepted.CORRECTED if known else Accepted.NEW

    def _put(self, row: tuple[object, ...], content: bytes | None) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO record (record_id, revision, digest, state, retracted,"
            " sequence, expiry_month, content, changed_at) VALUES (?,?,?,?,?,?,?,?,?)",
            (*row, content, _now()),
        )

    def retract(self, record_id: bytes) -> bool:
        """Take a record back: its next revision is a tombstone. False when it is already.

        Raises InputError for a record that was never accepted here.
        """
        with self._transaction():
            known = self._db.execute(
                "SELECT revision, digest, retracted, expiry_month FROM record WHERE record_id = ?",
                (record_id,),
            ).fetchone()
            if known is None:
                raise InputError(
                    "expected the number of a record that was accepted here; check the number"
                )
            revision, digest, retracted, expires = known
            if retracted:
                return False
            last = self._db.execute("SELECT max(sequence) FROM record").fetchone()[0]
            self._put((record_id, revision + 1, digest, State.SEALED, 1, last + 1, expires), None)
            return True

    def expire(self, month: str) -> int:
        """Take back what could only be kept until before this month (YYYY-MM); return how many."""
        with self._transaction():
            last = self._db.execute("SELECT max(sequence) FROM record").fetchone()[0] or 0
            due = self._db.execute(
                "SELECT record_id, revision, digest, expiry_month FROM record"
                " WHERE retracted = 0 AND state <> ? AND expiry_month < ?",
                (State.REFUSED, month),
            ).fetchall()
            for number, (ident, revision, digest, expiry) in enumerate(due, start=1):
                row = (ident, revision + 1, digest, State.SEALED, 1, last + number, expiry)
                self._put(row, None)
            return len(due)

    def drafts(self, limit: int) -> list[Entry]:
        """The oldest accepted records that wait to be sealed."""
        rows = self._rows(
            "SELECT record_id, revision, expiry_month, content FROM record"
            " WHERE state = ? ORDER BY sequence LIMIT ?",
            (State.ACCEPTED, limit),
        )
        return [
            Entry(row[0], row[1], row[2], self._decrypt(row[0], row[1], row[3])) for row in rows
        ]

    def sealed(self, touches: Sequence[tuple[Entry, bytes]], epoch: int) -> None:
        """Keep the encoded touches of these drafts, unless a correction came in between."""
        with self._transaction():
            self._db.executemany(
                "UPDATE record SET state = ?, touch = ?, epoch = ?, changed_at = ?"
                " WHERE record_id = ? AND revision = ? AND state = ?",
                [
                    (State.SEALED, touch, epoch, _now(), e.record_id, e.revision, State.ACCEPTED)
                    for e, touch in touches
                ],
            )

    def reopen(self, epoch: int) -> int:
        """Send records sealed in any other epoch back to be sealed in this one; return how many."""
        with self._transaction():
            return self._db.execute(
                "UPDATE record SET state = ?, touch = NULL, epoch = NULL"
                " WHERE state = ? AND retracted = 0 AND epoch <> ?",
                (State.ACCEPTED, State.SEALED, epoch),
            ).rowcount

    def outgoing(self, limit: int, after: int = 0) -> list[tuple[int, Outgoing]]:
        """What waits for the broker, oldest first, each with its place in the order."""
        rows = self._rows(
            "SELECT sequence, record_id, revision, touch FROM record"
            " WHERE state = ? AND sequence > ? ORDER BY sequence LIMIT ?",
            (State.SEALED, after, limit),
        )
        return [(row[0], Outgoing(row[1], row[2], row[3])) for row in rows]

    def finished(self, outgoing: Iterable[Outgoing], state: State = State.PUBLISHED) -> None:
        """Note what the broker confirmed (or refused for good), and drop the content of it."""
        with self._transaction():
            self._db.executemany(
                "UPDATE record SET state = ?, content = NULL, touch = NULL, changed_at = ?"
                " WHERE record_id = ? AND revision = ?",
                [(state, _now(), o.record_id, o.revision) for o in outgoing],
            )

    def waiting(self, record_id: bytes) -> Draft | None:
        """The draft of a record that is not published yet."""
        rows = self._rows(
            "SELECT revision, content FROM record WHERE record_id = ? AND content IS NOT NULL",
            (record_id,),
        )
        return self._decrypt(record_id, *rows[0]) if rows else None

    def waiting_list(self, limit: int) -> list[Waiting]:
        """What is not confirmed yet, oldest first, without content."""
        rows = self._rows(
            "SELECT record_id, revision, state, retracted, changed_at FROM record"
            " WHERE state IN (?, ?, ?) ORDER BY sequence LIMIT ?",
            (State.ACCEPTED, State.SEALED, State.REFUSED, limit),
        )
        return [Waiting(row[0].hex(), row[1], row[2], bool(row[3]), row[4]) for row in rows]

    def revision(self, record_id: bytes) -> int:
        """The highest revision of a record, 0 for one that was never accepted."""
        rows = self._rows("SELECT revision FROM record WHERE record_id = ?", (record_id,))
        return int(rows[0][0]) if rows else 0

    def counts(self) -> dict[str, int]:
        """How many records are in each state."""
        found = dict(self._rows("SELECT state, count(*) FROM record GROUP BY state", ()))
        return {state.value: found.get(state.value, 0) for state in State}

    def oldest_waiting(self) -> datetime | None:
        """When the record that has waited longest was accepted or sealed."""
        rows = self._rows(
            "SELECT min(changed_at) FROM record WHERE state IN (?, ?)",
            (State.ACCEPTED, State.SEALED),
        )
        return datetime.fromisoformat(rows[0][0]) if rows[0][0] else None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock, closing(self._db.execute(query, values)) as cursor:
            return cursor.fetchall()

    def _transaction(self) -> Transaction:
        return Transaction(self._db, self._lock)

    def _encrypt(self, record_id: bytes, revision: int, content: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        bound = record_id + revision.to_bytes(4, "big")
        return nonce + self._cipher.encrypt(nonce, content, bound)

    def _decrypt(self, record_id: bytes, revision: int, box: bytes) -> Draft:
        bound = record_id + revision.to_bytes(4, "big")
        try:
            content = self._cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], bound)
        except InvalidTag:
            raise SettingsError(
                "expected the key that this outbox was written with; restore keys/outbox.key"
            ) from None
        return Draft.model_validate_json(content)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
