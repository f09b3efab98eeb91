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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from producers.outbox_box import Box
from producers.outbox_file import (
    WAITING,
    Accepted,
    Outgoing,
    State,
    Transaction,
    Waiting,
    open_file,
)
from producers.outbox_views import Views
from producers.touch import Draft, Entry
from silenthit.errors import InputError, RetryError

MAX_BYTES = 10 * 2**30
MOST_FRESH = 1024  # drafts that need not be decrypted to be sealed
__all__ = ["Accepted", "Outbox", "Outgoing", "State", "Waiting"]


class Outbox(Views):
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
        box = Box(key)
        super().__init__(open_file(path, box.renewed), box)
        self._max_bytes, self._keep = max_bytes, keep
        self._turn = path.with_name(f"{path.name}.publishing")
        self._fresh: dict[tuple[bytes, int], Draft] = {}

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
        history: bool = False,
    ) -> list[Accepted]:
        """Keep drafts, each under its record id, in one transaction; return what became of each.

        The same content again changes nothing; other content is the next revision. `history` is
        the slow lane, but a record that waits in the live one stays there.
        Raises RetryError, having kept none of them, when disk or outbox is full or the file locked.
        """
        results: list[Accepted] = []
        fresh: dict[tuple[bytes, int], Draft] = {}
        with self._transaction():
            self._refuse_when_full()
            for record_id, draft in drafts:
                known = self._db.execute(
                    "SELECT revision, digest, retracted, state, history FROM record"
                    " WHERE record_id = ?",
                    (record_id,),
                ).fetchone()
                content = draft.model_dump_json().encode()
                found = self._compared(known, content, reinstate=reinstate)
                results.append(found)
                if found in (Accepted.NEW, Accepted.CORRECTED):
                    revision = known[0] + 1 if known else 1
                    waits_live = known and not known[4] and known[3] in WAITING
                    slow = history and not waits_live
                    self._put_draft(record_id, revision, content, expiry_month, history=slow)
                    fresh[record_id, revision] = draft
        self._keep_fresh(fresh)
        return results

    def _compared(
        self, known: tuple[Any, ...] | None, content: bytes, *, reinstate: bool
    ) -> Accepted:
        if known is None:
            return Accepted.NEW
        _, digest, retracted, *_ = known
        if retracted:
            return Accepted.CORRECTED if reinstate else Accepted.RETRACTED
        return Accepted.UNCHANGED if self._box.is_digest(digest, content) else Accepted.CORRECTED

    def _put_draft(
        self, record_id: bytes, revision: int, content: bytes, expires: str, *, history: bool
    ) -> None:
        row = (record_id, revision, self._box.digest(content), State.ACCEPTED, 0, expires, history)
        self._put(row, self._box.closed(record_id, revision, content))

    def _put(self, row: tuple[object, ...], content: bytes | None) -> None:
        """Write a record's next revision at the end of the order."""
        self._db.execute(
            "INSERT INTO record (record_id, revision, digest, state, retracted, expiry_month,"
            " history, content, changed_at, sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " (SELECT coalesce(max(sequence), 0) + 1 FROM record))"
            " ON CONFLICT (record_id) DO UPDATE SET revision = excluded.revision,"
            " digest = excluded.digest, state = excluded.state, retracted = excluded.retracted,"
            " sequence = excluded.sequence, expiry_month = excluded.expiry_month,"
            " history = excluded.history, content = excluded.content, touch = NULL, epoch = NULL,"
            " changed_at = excluded.changed_at",
            (*row, content, _now()),
        )

    def _keep_fresh(self, drafts: dict[tuple[bytes, int], Draft]) -> None:
        """Spare whoever seals them next the reading of what was just written.

        Only what is committed, as it never changes: a revision is never written twice.
        """
        with self._lock:
            self._fresh |= drafts
            for oldest in list(self._fresh)[: max(0, len(self._fresh) - MOST_FRESH)]:
                del self._fresh[oldest]

    def _refuse_when_full(self) -> None:
        if self._bytes() <= self._max_bytes:
            return
        self._forget_kept(_now())  # what is only kept for convenience goes first
        if self._bytes() > self._max_bytes:
            raise RetryError(
                f"expected an outbox of at most {self._max_bytes:,} bytes, got more waiting; bring "
                "broker and key holder back, or raise `outbox_max_mb`"
            )

    def _bytes(self) -> int:
        size, pages, free = (
            int(self._db.execute(f"PRAGMA {each}").fetchone()[0])
            for each in ("page_size", "page_count", "freelist_count")
        )
        return size * (pages - free)

    def retract(self, record_id: bytes) -> bool:
        """Take a record back: its next revision is a tombstone. False when it is already.

        Raises InputError for a record that was never accepted here.
        """
        with self._transaction():
            revision, digest, retracted, expires, *_ = self._known(record_id)
            if not retracted:
                self._put((record_id, revision + 1, digest, State.SEALED, 1, expires, False), None)
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
                self._put((ident, revision + 1, digest, State.SEALED, 1, expires, False), None)
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
                self._put((record_id, revision + 1, digest, State.SEALED, 1, expires, False), None)
                return True
            if box is None:
                raise InputError(
                    "expected a record whose content is still kept here (`outbox_keep_days`); name "
                    "the file that it is in"
                )
            draft = self._box.opened(record_id, revision, box)
            content = draft.model_dump_json().encode()
            self._put_draft(record_id, revision + 1, content, expires, history=bool(history))
            return True

    def reconsider(self, record_id: bytes) -> None:
        """Take the same content of a record as a correction, the next time that it comes.

        Raises InputError for a record that was never accepted here.
        """
        with self._transaction():
            self._known(record_id)
            self._db.execute("UPDATE record SET digest = ? WHERE record_id = ?", (b"", record_id))

    def _known(self, record_id: bytes) -> tuple[Any, ...]:
        known: tuple[Any, ...] | None = self._db.execute(
            "SELECT revision, digest, retracted, expiry_month, state, history, content"
            " FROM record WHERE record_id = ?",
            (record_id,),
        ).fetchone()
        if known is None:
            raise InputError(
                "expected the number of a record that was accepted here; check the number"
            )
        return known

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
        now = _now()
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
            self._forget_kept(_text(now - self._keep))

    def _forget_kept(self, before: str) -> None:
        self._db.execute(
            "UPDATE record SET content = NULL WHERE state = 'published' AND content IS NOT NULL"
            " AND confirmed_at <= ?",
            (before,),
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _transaction(self) -> Transaction:
        return Transaction(self._db, self._lock)


def _now() -> str:
    return _text(datetime.now(UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
