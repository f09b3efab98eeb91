"""The outbox's file: its table, what a row may be, and writes that happen whole or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from silenthit.errors import RetryError, SettingsError

VERSION = 2
_PAGE_BYTES = 8192  # a touch is one or two
_TABLE = """
CREATE TABLE IF NOT EXISTS record (
    record_id BLOB PRIMARY KEY,
    revision INTEGER NOT NULL,
    digest BLOB NOT NULL,          -- keyed, of the content; empty: any content is a correction
    state TEXT NOT NULL,
    retracted INTEGER NOT NULL DEFAULT 0,
    sequence INTEGER NOT NULL,     -- order of acceptance
    expiry_month TEXT NOT NULL,
    content BLOB,                  -- encrypted draft, until published and a little longer
    touch BLOB,                    -- encoded SubjectTouch, until published
    epoch INTEGER,
    changed_at TEXT NOT NULL,
    history INTEGER NOT NULL DEFAULT 0,  -- lane: live records go before these
    confirmed_at TEXT              -- when the broker last confirmed a revision
)
"""  # in the order of arrival: keyed by their ids, rows of a batch would lie on a page each
_ADDED = (("history", "INTEGER NOT NULL DEFAULT 0"), ("confirmed_at", "TEXT"))  # since version 0
_INDICES = (
    "CREATE INDEX IF NOT EXISTS record_order ON record (sequence)",
    "CREATE INDEX IF NOT EXISTS record_lane ON record (state, history, sequence)",
    (
        "CREATE INDEX IF NOT EXISTS record_kept ON record (confirmed_at)"
        " WHERE state = 'published' AND content IS NOT NULL"
    ),
    "DROP INDEX IF EXISTS record_waiting",
)


class State(StrEnum):
    """How far a record's highest revision has come."""

    ACCEPTED = "accepted"
    SEALED = "sealed"
    PUBLISHED = "published"
    REFUSED = "refused"  # too large for any broker


WAITING = (State.ACCEPTED, State.SEALED)


class Accepted(StrEnum):
    """What became of a record handed in."""

    NEW = "new"
    CORRECTED = "corrected"
    UNCHANGED = "unchanged"
    RETRACTED = "retracted"  # taken back earlier, so not taken again


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A touch, or a tombstone (touch None), that the broker has not confirmed."""

    record_id: bytes
    revision: int
    touch: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One row as an operator may see it."""

    record_id: str
    revision: int
    state: str
    retraction: bool
    since: str
    history: bool


def open_file(path: Path, renew: Callable[[bytes, int, bytes], bytes]) -> sqlite3.Connection:
    """Open or create an outbox's file, or bring it up to date; `renew` is for boxes of version 0.

    Raises SettingsError when it is no outbox of ours.
    """
    try:
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for pragma in (
            f"page_size={_PAGE_BYTES}",  # of a new file
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=30000",
        ):
            db.execute(f"PRAGMA {pragma}")
        db.execute(_TABLE)
        if _version(db) < VERSION:
            with Transaction(db, threading.RLock()):
                _upgrade(db, renew)
        for statement in _INDICES:
            db.execute(statement)
    except sqlite3.Error as error:
        raise SettingsError(
            f"expected an outbox in {path}, got {type(error).__name__}; check the path, its "
            "rights and the disk"
        ) from None
    path.chmod(0o600)
    return db


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _upgrade(db: sqlite3.Connection, renew: Callable[[bytes, int, bytes], bytes]) -> None:
    if _version(db) == 0:
        _encrypt_anew(db, renew)
    made = db.execute("SELECT sql FROM sqlite_master WHERE name = 'record'").fetchone()[0]
    if "WITHOUT ROWID" in made:  # another process may have been faster
        _lay_out_anew(db)
    db.execute(f"PRAGMA user_version = {VERSION}")


def _encrypt_anew(db: sqlite3.Connection, renew: Callable[[bytes, int, bytes], bytes]) -> None:
    known = {row[1] for row in db.execute("PRAGMA table_info(record)")}
    for column, kind in _ADDED:
        if column not in known:
            db.execute(f"ALTER TABLE record ADD COLUMN {column} {kind}")
    rows = db.execute("SELECT record_id, revision, content FROM record WHERE content IS NOT NULL")
    for ident, revision, content in rows.fetchall():
        db.execute(
            "UPDATE record SET content = ? WHERE record_id = ?",
            (renew(ident, revision, content), ident),
        )


def _lay_out_anew(db: sqlite3.Connection) -> None:
    columns = ", ".join(row[1] for row in db.execute("PRAGMA table_info(record)"))
    db.execute("ALTER TABLE record RENAME TO record_before")
    db.execute(_TABLE)
    db.execute(
        f"INSERT INTO record ({columns}) SELECT {columns} FROM record_before ORDER BY sequence"  # noqa: S608 our own names
    )
    db.execute("DROP TABLE record_before")


class Transaction:
    """One write, whole or not at all."""

    def __init__(self, db: sqlite3.Connection, lock: threading.RLock) -> None:
        self._db, self._lock = db, lock

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._lock.release()
            raise retry_of(error) from None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
            elif self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as failed:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise retry_of(failed) from None
        finally:
            self._lock.release()
        if isinstance(error, sqlite3.Error):
            raise retry_of(error) from None


def retry_of(error: sqlite3.Error) -> RetryError:
    """Say which of SQLite's refusals it was, and what an operator can do."""
    what = getattr(error, "sqlite_errorname", type(error).__name__)
    return RetryError(
        f"expected to write the outbox, got {what}; free disk space or wait for the other process, "
        "then run the command again"
    )
