"""The key holder's book, in SQLite: certificates, quotas, bookings, backups and the log.

One transaction charges a batch and logs it, so nothing is evaluated that is not on record, and a
restart forgets nothing. Several processes may share the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from silenthit.errors import SettingsError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS certificates (
    serial TEXT PRIMARY KEY, organisation TEXT NOT NULL, issued_at REAL NOT NULL,
    not_after REAL NOT NULL, revoked_at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS allowances (
    organisation TEXT NOT NULL, class INTEGER NOT NULL, purpose TEXT NOT NULL,
    level REAL NOT NULL, at REAL NOT NULL, day INTEGER NOT NULL, spent INTEGER NOT NULL,
    PRIMARY KEY (organisation, class, purpose)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bookings (
    organisation TEXT PRIMARY KEY, remaining INTEGER NOT NULL, per_minute INTEGER NOT NULL,
    until REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (id BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batches_at ON batches (at);
CREATE TABLE IF NOT EXISTS hours (
    organisation TEXT NOT NULL, hour INTEGER NOT NULL, elements INTEGER NOT NULL,
    PRIMARY KEY (organisation, hour)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS backups (
    digest TEXT PRIMARY KEY, epoch INTEGER NOT NULL, made_at REAL NOT NULL, destroyed_at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
    number INTEGER PRIMARY KEY, entry TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS log_is_not_changed BEFORE UPDATE ON log
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS log_is_not_shortened BEFORE DELETE ON log
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
"""


def open_book(path: Path | None) -> sqlite3.Connection:
    """Open the book, and begin it when there is none; None: in memory.

    The file is readable by its owner alone. Raises SettingsError when it can't be opened.
    """
    if path is not None:
        try:
            path.touch(mode=0o600, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"expected the book at {path}, got: {error.strerror}; check `database`"
            ) from None
    book = sqlite3.connect(
        path or ":memory:", isolation_level=None, timeout=10.0, check_same_thread=False
    )
    book.execute("PRAGMA journal_mode = WAL")
    book.execute("PRAGMA synchronous = NORMAL")
    book.executescript(_SCHEMA)
    return book


@contextmanager
def transaction(book: sqlite3.Connection) -> Iterator[None]:
    """Run the body as one change of the book; an exception undoes it."""
    book.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        book.execute("ROLLBACK")
        raise
    book.execute("COMMIT")
