"""Answers to requests that carried an idempotency key, kept for a day, without their content."""

from __future__ import annotations

import hmac
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers.outbox_file import Transaction

KEPT_S = 86_400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answer (
    key BLOB PRIMARY KEY,    -- keyed digest
    body BLOB NOT NULL,      -- keyed digest
    status INTEGER NOT NULL,
    content TEXT NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID
"""
_OTHER_BODY = {"problem": "expected the body that came with this Idempotency-Key; use a new key"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: HTTP status and JSON content."""

    status: int
    content: dict[str, Any]


def repeated(first: Answer, its_body: bytes, body: bytes) -> Answer:
    """What a request is answered whose key another one bore a moment before."""
    return first if its_body == body else Answer(409, _OTHER_BODY)


class Answers:
    """Beside the outbox, in the same file."""

    def __init__(self, path: Path, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._secret, self._clock, self._lock = secret, clock, threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA busy_timeout=30000")
        self._db.execute(_SCHEMA)

    def known(self, key: str, body: bytes) -> Answer | None:
        """What this key was answered; a conflict (409) when it came with another body."""
        with self._lock, closing(self._db.cursor()) as cursor:
            row = cursor.execute(
                "SELECT body, status, content FROM answer WHERE key = ? AND at > ?",
                (self._digest(key.encode()), self._clock() - KEPT_S),
            ).fetchone()
        if row is None:
            return None
        if not hmac.compare_digest(row[0], self._digest(body)):
            return Answer(409, _OTHER_BODY)
        return Answer(row[1], json.loads(row[2]))

    def remember(self, answers: Iterable[tuple[str, bytes, Answer]]) -> None:
        """Keep answers, each with its key and body, in one write; forget those of yesterday.

        Raises RetryError when the disk is full.
        """
        now = self._clock()
        rows = [
            (self._digest(key.encode()), self._digest(body), a.status, json.dumps(a.content), now)
            for key, body, a in answers
        ]
        if rows:
            with Transaction(self._db, self._lock):
                self._db.execute("DELETE FROM answer WHERE at <= ?", (now - KEPT_S,))
                self._db.executemany("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _digest(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, b"silenthit/1/idempotency" + content, "sha256")
