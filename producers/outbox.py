"""The outbox: a record accepted is a record kept, encrypted, until the broker has confirmed it.

One row a record: accepted (encrypted draft) → sealed (touch beside it) → published (touch gone; the
draft too, once it was kept for `keep`). Two lanes: live records, and history that goes behind them.
SQLite in WAL mode, synchronous FULL; what it returned from `accept` survives a power cut.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from producers.outbox_file import WAITING, Accepted, Outgoing, State, Waiting
from producers.outbox_shelf import Shelf, as_text, now_text
from producers.touch import Draft, Entry
from silenthit.errors import InputError

MAX_BYTES = 10 * 2**30

__all__ = ["Accepted", "Outbox", "Outgoing", "State", "Waiting"]


class Outbox(Shelf):
    """One agency's outbox, for several threads and processes; `alone` is for who publishes."""

    def __init__(
        self,
        path: Path,
        key: bytes,
        *,
        max_bytes: int = MAX_BYTES,
        keep: timedelta = timedelta(),
    ) -> None:
        """Open or create the file, which may grow to `max_bytes` of records that wait.

        A published record's content is kept for `keep`, to be sent again when asked for.
        Raises SettingsError when it is no outbox of ours.
        """
        super().__init__(path, key, max_bytes=max_bytes)
        self._keep = keep
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

    def retract(self, record_id: bytes) -> bool:
        """Take a record back: its next revision is a tombstone. False when it is already.

        Raises InputError for a record that was never accepted here.
        """
        with self._transaction():
            revision, digest, retracted, expires, *_ = self._known(record_id)
            if not retracted:
                self._put_tombstone(record_id, revision + 1, digest, expires)
            return not retracted

    def expire(self, month: str) -> int:
        """Take back what could only be kept until before this month (YYYY-MM); return how many."""
        with self._transaction():
            due = self._db.execute(
                "SELECT record_id, revision, digest, expiry_month FROM record"
                " WHERE retracted = 0 AND state <> ? AND expiry_month < ?",
                (State.REFUSED, month),
            ).fetchall()
            for ident, revision, digest, expires in due:
                self._put_tombstone(ident, revision + 1, digest, expires)
            return len(due)

    def again(self, record_id: bytes) -> bool:
        """Send a published record, or a tombstone, once more as its next revision.

        False when it waits anyway. Raises InputError for a record that is not known, or whose
        content is not kept any more.
        """
        with self._transaction():
            revision, digest, retracted, expires, state, history, box = self._known(record_id)
            if state in WAITING:
                return False
            if retracted:
                self._put_tombstone(record_id, revision + 1, digest, expires)
                return True
            if box is None:
                raise InputError(
                    "expected a record whose content is still kept here (`outbox_keep_days`); name "
                    "the file that it is in"
                )
            draft = self._box.opened(record_id, revision, box)
            content = draft.model_dump_json().encode()
            row = (record_id, revision + 1, content, expires)
            self._put_draft(*row, draft.record, history=bool(history))
            return True

    def reconsider(self, record_id: bytes) -> None:
        """Take the same content of a record as a correction, the next time that it comes.

        Raises InputError for a record that was never accepted here.
        """
        with self._transaction():
            self._known(record_id)
            self._db.execute("UPDATE record SET digest = ? WHERE record_id = ?", (b"", record_id))

    def drafts(self, limit: int, *, history: bool = False) -> list[Entry]:
        """The oldest accepted records of a lane that wait to be sealed."""
        rows = self._rows(
            "SELECT record_id, revision, expiry_month, content FROM record"
            " WHERE state = ? AND history = ? ORDER BY sequence LIMIT ?",
            (State.ACCEPTED, history, limit),
        )
        return [
            Entry(ident, revision, month, self._draft(ident, revision, box), history)
            for ident, revision, month, box in rows
        ]

    def _draft(self, record_id: bytes, revision: int, box: bytes) -> Draft:
        fresh = self._fresh.pop((record_id, revision), None)
        return fresh or self._box.opened(record_id, revision, box)

    def sealed(self, touches: Sequence[tuple[Entry, bytes]], epoch: int) -> None:
        """Keep the encoded touches of these drafts, unless a correction came in between."""
        with self._transaction():
            self._db.executemany(
                "UPDATE record SET state = ?, touch = ?, epoch = ?, changed_at = ?"
                " WHERE record_id = ? AND revision = ? AND state = ?",
                [
                    (
                        State.SEALED,
                        touch,
                        epoch,
                        now_text(),
                        e.record_id,
                        e.revision,
                        State.ACCEPTED,
                    )
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

    def outgoing(
        self, limit: int, after: int = 0, *, history: bool = False
    ) -> list[tuple[int, Outgoing]]:
        """What of a lane waits for the broker, oldest first, each with its place in the order."""
        rows = self._rows(
            "SELECT sequence, record_id, revision, touch FROM record"
            " WHERE state = ? AND history = ? AND sequence > ? ORDER BY sequence LIMIT ?",
            (State.SEALED, history, after, limit),
        )
        return [(row[0], Outgoing(row[1], row[2], row[3])) for row in rows]

    def finished(self, outgoing: Iterable[Outgoing], state: State = State.PUBLISHED) -> None:
        """Note what the broker confirmed (or refused for good), and drop what need not be kept."""
        now = now_text()
        confirmed_at = now if state is State.PUBLISHED else None
        keep = bool(confirmed_at and self._keep)
        with self._transaction():
            self._db.executemany(
                "UPDATE record SET state = ?, content = iif(?, content, NULL), touch = NULL,"
                " changed_at = ?,"
                " confirmed_at = coalesce(?, confirmed_at) WHERE record_id = ? AND revision = ?",
                [(state, keep, now, confirmed_at, o.record_id, o.revision) for o in outgoing],
            )

    def forget_kept(self, now: datetime) -> None:
        """Drop the content of published records that was kept long enough."""
        with self._transaction():
            self._forget_kept(as_text(now - self._keep))
