"""What goes into the outbox: drafts, each under its record id and as its next revision."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from producers import operation_rows
from producers.operation_rows import OperationRows
from producers.outbox_box import Box
from producers.outbox_file import WAITING, Accepted, State, Transaction, open_file
from producers.outbox_views import Views
from producers.records import Record
from producers.touch import Draft
from silenthit.errors import InputError, RetryError

MOST_FRESH = 1024  # drafts that need not be decrypted to be sealed


class Shelf(Views):
    """Takes drafts in, and refuses them clearly when there is no room."""

    def __init__(self, path: Path, key: bytes, *, max_bytes: int) -> None:
        """Open or create the file. Raises SettingsError when it is no outbox of ours."""
        box = Box(key)
        super().__init__(open_file(path, box.renewed), box)
        self._db.execute(operation_rows.SCHEMA)
        self.operations = OperationRows(self._db, self._rows, self._transaction, box.opened, key)
        self._max_bytes = max_bytes
        self._fresh: dict[tuple[bytes, int], Draft] = {}

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
                    row = (record_id, revision, content, expiry_month)
                    self._put_draft(*row, draft.record, history=slow)
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
        self,
        record_id: bytes,
        revision: int,
        content: bytes,
        expires: str,
        record: Record,
        *,
        history: bool,
    ) -> None:
        row = (record_id, revision, self._box.digest(content), State.ACCEPTED, 0, expires, history)
        box = self._box.closed(record_id, revision, content)
        self._put(row, box)
        operation_rows.put_draft(self._db, record_id, revision, record, box)

    def _put_tombstone(self, record_id: bytes, revision: int, digest: bytes, expires: str) -> None:
        self._put((record_id, revision, digest, State.SEALED, 1, expires, False), None)
        operation_rows.end(self._db, record_id, revision)

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
            (*row, content, now_text()),
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
        self._forget_kept(now_text())  # what is only kept for convenience goes first
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


def now_text() -> str:
    """The present, as the table holds it."""
    return as_text(datetime.now(UTC))


def as_text(moment: datetime) -> str:
    """An aware moment to the second, in an order that text keeps."""
    return moment.isoformat(timespec="seconds")
