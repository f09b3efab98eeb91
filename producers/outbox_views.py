"""What an operator may see of the outbox: counts, times, what waits; content only with the key."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from datetime import datetime
from typing import Any

from producers.outbox_box import Box
from producers.outbox_file import WAITING, State, Waiting
from producers.touch import Draft


class Views:
    """Reads the outbox's table and changes nothing."""

    def __init__(self, db: sqlite3.Connection, box: Box) -> None:
        self._db, self._box = db, box
        self._lock = threading.RLock()

    def waiting(self, record_id: bytes) -> Draft | None:
        """The draft of a record whose content is here: not published yet, or kept since."""
        rows = self._rows(
            "SELECT revision, content FROM record WHERE record_id = ? AND content IS NOT NULL",
            (record_id,),
        )
        return self._box.opened(record_id, *rows[0]) if rows else None

    def waiting_list(self, limit: int) -> list[Waiting]:
        """What is not confirmed yet, oldest first, without content."""
        rows = self._rows(
            "SELECT record_id, revision, state, retracted, changed_at, history FROM record"
            " WHERE state IN (?, ?, ?) ORDER BY sequence LIMIT ?",
            (*WAITING, State.REFUSED, limit),
        )
        return [Waiting(r[0].hex(), r[1], r[2], bool(r[3]), r[4], bool(r[5])) for r in rows]

    def revision(self, record_id: bytes) -> int:
        """The highest revision of a record, 0 for one that was never accepted."""
        rows = self._rows("SELECT revision FROM record WHERE record_id = ?", (record_id,))
        return int(rows[0][0]) if rows else 0

    def confirmed_at(self, record_id: bytes) -> datetime | None:
        """When the broker last confirmed a revision of a record."""
        rows = self._rows("SELECT confirmed_at FROM record WHERE record_id = ?", (record_id,))
        return datetime.fromisoformat(rows[0][0]) if rows and rows[0][0] else None

    def counts(self) -> dict[str, int]:
        """How many records are in each state."""
        found = dict(self._rows("SELECT state, count(*) FROM record GROUP BY state", ()))
        return {state.value: found.get(state.value, 0) for state in State}

    def history_waiting(self) -> int:
        """How many records of the slow lane are not confirmed."""
        rows = self._rows(
            "SELECT count(*) FROM record WHERE state IN (?, ?) AND history = 1", WAITING
        )
        return int(rows[0][0])

    def oldest_waiting(self) -> datetime | None:
        """When the record that has waited longest was accepted or sealed."""
        rows = self._rows("SELECT min(changed_at) FROM record WHERE state IN (?, ?)", WAITING)
        return datetime.fromisoformat(rows[0][0]) if rows[0][0] else None

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock, closing(self._db.execute(query, values)) as cursor:
            return cursor.fetchall()
