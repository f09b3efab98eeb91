"""What the agent remembers of each source between runs: how far it read, and its last errors."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from producers.intake import Tally
from producers.outbox_file import retry_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS source (
    name TEXT PRIMARY KEY,
    watermark TEXT NOT NULL DEFAULT '',
    polled_at TEXT NOT NULL DEFAULT '',
    accepted INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    last_error TEXT NOT NULL DEFAULT '',
    last_error_at TEXT NOT NULL DEFAULT ''
)
"""
_ADDED = ("last_error", "last_error_at")


@dataclass(frozen=True, slots=True)
class SourceState:
    """One row: counts since the source was added.

    `error` is that of the last poll, or empty; `last_error` stays when it is over.
    """

    name: str
    watermark: str
    polled_at: str
    accepted: int
    rejected: int
    error: str
    last_error: str
    last_error_at: str


class Ledger:
    """Beside the outbox, in the same file."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA busy_timeout=30000")
        self._db.execute(_SCHEMA)
        known = {row[1] for row in self._db.execute("PRAGMA table_info(source)")}
        for column in _ADDED:
            if column not in known:
                self._db.execute(f"ALTER TABLE source ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")

    def watermark(self, name: str) -> str:
        """How far a source was read, empty when it never was."""
        return next((each.watermark for each in self.states() if each.name == name), "")

    def advance(self, name: str, watermark: str) -> None:
        """Note how far a source was read. Raises RetryError when the disk is full."""
        self._write(
            "INSERT INTO source (name, watermark) VALUES (?1, ?2)"
            " ON CONFLICT (name) DO UPDATE SET watermark = ?2",
            (name, watermark),
        )

    def polled(self, name: str, tally: Tally, error: str = "") -> None:
        """Note a poll, and what went wrong with it. Raises RetryError when the disk is full."""
        self._write(
            "INSERT INTO source (name, polled_at, accepted, rejected, error, last_error,"
            " last_error_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5, iif(?5 = '', '', ?2))"
            " ON CONFLICT (name) DO UPDATE SET polled_at = ?2,"
            " accepted = accepted + ?3, rejected = rejected + ?4, error = ?5,"
            " last_error = iif(?5 = '', last_error, ?5),"
            " last_error_at = iif(?5 = '', last_error_at, ?2)",
            (name, _now(), tally.new + tally.corrected, tally.rejected, error),
        )

    def states(self) -> list[SourceState]:
        """Every source that was ever polled, by name."""
        query = (
            "SELECT name, watermark, polled_at, accepted, rejected, error, last_error,"
            " last_error_at FROM source ORDER BY name"
        )
        with self._lock, closing(self._db.execute(query)) as cursor:
            return [SourceState(*row) for row in cursor]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _write(self, query: str, values: tuple[object, ...]) -> None:
        with self._lock:
            try:
                self._db.execute(query, values)
            except sqlite3.Error as error:
                raise retry_of(error) from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
