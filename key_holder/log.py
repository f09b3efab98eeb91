"""The log: who asked for how much and when, and every act on the keys; never what was asked.

Each entry's hash covers the one before (SHA-256), so that an entry changed or taken out shows; a
head noted elsewhere (`log head`) shows a log cut short or written anew.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from hashlib import sha256

from silenthit.errors import RefusedError

START = "0" * 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The last entry's number (0: none yet) and hash (hex)."""

    number: int
    hash: str


def _chained(previous: str, number: int, entry: str) -> str:
    return sha256(f"{previous}\n{number}\n{entry}".encode()).hexdigest()


def head(book: sqlite3.Connection) -> Head:
    """Return the end of the log."""
    row = book.execute("SELECT number, hash FROM log ORDER BY number DESC LIMIT 1").fetchone()
    return Head(number=row[0], hash=row[1]) if row else Head(number=0, hash=START)


def append(book: sqlite3.Connection, at: float, event: str, **facts: object) -> None:
    """Add an entry. Call it within the transaction of what it records; `at` in epoch seconds."""
    last = head(book)
    entry = json.dumps({"at": round(at, 3), "event": event, **facts}, sort_keys=True)
    number = last.number + 1
    book.execute(
        "INSERT INTO log VALUES (?, ?, ?)", (number, entry, _chained(last.hash, number, entry))
    )


def verify(book: sqlite3.Connection, *, noted: Head | None = None) -> Head:
    """Check the whole chain, and that it still holds the noted head. Returns its end.

    Raises RefusedError naming the first entry that is not as it was written.
    """
    previous, number = START, 0
    held = noted is None or (noted.number == 0 and noted.hash == START)
    for found, entry, digest in book.execute("SELECT number, entry, hash FROM log ORDER BY number"):
        number += 1
        if found != number or digest != _chained(previous, number, entry):
            raise RefusedError(
                f"expected log entry {number} as it was written, got one that was changed, added "
                "or taken out; keep the file as evidence and ask who had access to it"
            )
        previous = digest
        held = held or (noted is not None and noted == Head(number=number, hash=digest))
    if not held:
        raise RefusedError(
            "expected the noted head in the log, got a log cut short or written anew; keep the "
            "file as evidence and ask who had access to it"
        )
    return Head(number=number, hash=previous)
