"""The outbox's file: its table, what a row may be, and writes that happen whole or not at all."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from silenthit.errors import RetryError, SettingsError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    record_id BLOB PRIMARY KEY,
    revision INTEGER NOT NULL,
    digest BLOB NOT NULL,          -- keyed, of the content
    state TEXT NOT NULL,
    retracted INTEGER NOT NULL DEFAULT 0,
    sequence INTEGER NOT NULL,     -- order of acceptance
    expiry_month TEXT NOT NULL,
    content BLOB,                  -- encrypted draft, until published
    touch BLOB,                    -- encoded SubjectTouch, until published
    epoch INTEGER,
    changed_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_order ON record (sequence);
CREATE INDEX IF NOT EXISTS record_waiting ON record (state, sequence);
"""


class State(StrEnum):
    """How far a record's highest revision has come."""

    ACCEPTED = "accepted"
    SEALED = "sealed"
    PUBLISHED = "published"
    REFUSED = "refused"  # too large for any broker


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


def open_file(path: Path) -> sqlite3.Connection:
    """Open or create an outbox's file. Raises SettingsError when it is no outbox of ours."""
    try:
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
            db.execute(f"PRAGMA {pragma}")
        db.executescript(_SCHEMA)
    except sqlite3.Error as error:
        raise SettingsError(
            f"expected an outbox in {path}, got {type(error).__name__}; check the path, its "
            "rights and the disk"
        ) from None
    path.chmod(0o600)
    return db


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
            raise _retry(error) from None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self._db.execute("COMMIT")
            elif self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as failed:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise _retry(failed) from None
        finally:
            self._lock.release()
        if isinstance(error, sqlite3.Error):
            raise _retry(error) from None


def _retry(error: sqlite3.Error) -> RetryError:
    what = getattr(error, "sqlite_errorname", type(error).__name__)
    return RetryError(
        f"expected to write the outbox, got {what}; free disk space or wait for the other process, "
        "then run the command again"
    )
