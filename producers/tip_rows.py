"""Tips' cases in the outbox's file: what `silenthit.call_tree.cases` asks of a store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from producers.tip_pages import TipPages
from silenthit.call_tree.cases import Stored
from silenthit.call_tree.escalation import Case
from silenthit.call_tree.pages import Page, PageKind

SCHEMA = """
CREATE TABLE IF NOT EXISTS tip (about BLOB PRIMARY KEY, heard_at TEXT NOT NULL, box BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS tip_case (
    about BLOB PRIMARY KEY, version INTEGER NOT NULL, due_at TEXT, content TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS tip_event (
    id INTEGER PRIMARY KEY, about BLOB NOT NULL, at TEXT NOT NULL, box BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS tip_page (
    id BLOB PRIMARY KEY, about BLOB NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
    due_at INTEGER NOT NULL, tries INTEGER NOT NULL, content TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS tip_try (
    id BLOB PRIMARY KEY, page BLOB NOT NULL, channel TEXT NOT NULL, outcome TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS tip_due ON tip_case (due_at);
CREATE INDEX IF NOT EXISTS tip_posting ON tip_page (state, due_at);
"""


@dataclass(frozen=True, slots=True)
class TipRows:
    """The cases within one transaction: what `silenthit.call_tree.cases` asks of a store."""

    db: sqlite3.Connection
    box: Callable[[str, bytes], bytes]

    def get(self, about: bytes) -> Stored | None:
        """Return a case, None when nothing is known."""
        row = self.db.execute(
            "SELECT about, version, content FROM tip_case WHERE about = ?", (about,)
        ).fetchone()
        return _stored(row) if row else None

    def save(self, about: bytes, version: int, case: Case, now: datetime) -> bool:  # noqa: ARG002
        """Write a case unless somebody else did since; return whether it is written."""
        due = as_text(case.due) if case.due else None
        changed = self.db.execute(
            "INSERT INTO tip_case (about, version, due_at, content) VALUES (?1, ?2 + 1, ?3, ?4)"
            " ON CONFLICT (about) DO UPDATE SET version = ?2 + 1, due_at = ?3, content = ?4"
            " WHERE version = ?2",
            (about, version, due, case.model_dump_json()),
        )
        return changed.rowcount == 1

    def due(self, now: datetime) -> Iterable[Stored]:
        """Cases whose time has come."""
        query = "SELECT about, version, content FROM tip_case WHERE due_at <= ? ORDER BY due_at"
        return map(_stored, self.db.execute(query, (as_text(now),)).fetchall())

    def note(self, about: bytes, action: str, who: str, text: str, now: datetime) -> None:
        """Write down what happened to it."""
        event = {"at": as_text(now), "action": action, "who": who, "text": text}
        self.db.execute(
            "INSERT INTO tip_event (about, at, box) VALUES (?, ?, ?)",
            (about, event["at"], self.box(json.dumps(event), about)),
        )

    def queue(self, about: bytes, page: Page, now: datetime) -> None:
        """Queue a page."""
        TipPages.put(self.db, about, page, as_ms(now))

    def cancel(self, about: bytes, kinds: Collection[PageKind]) -> None:
        """Take back pages that nobody has begun to post."""
        TipPages.cancel(self.db, about, kinds)

    def fields(self, about: bytes) -> Mapping[str, str]:
        """What a page may show of it."""
        return {"tip_id": short(about)}

    def told(self, about: bytes) -> tuple[str, ...]:  # noqa: ARG002 people are called, no channels
        """Channels that had it before anybody was called: none."""
        return ()

    def silent_since(self, moment: datetime) -> list[bytes]:
        """Tips to which nothing was done after this."""
        query = "SELECT about FROM tip_event GROUP BY about HAVING max(at) <= ?"
        return [about for (about,) in self.db.execute(query, (as_text(moment),)).fetchall()]

    def drop(self, about: bytes) -> None:
        """Drop what a tip says, its case and what was noted of it."""
        for table in ("tip_event", "tip_case", "tip"):
            self.db.execute(f"DELETE FROM {table} WHERE about = ?", (about,))  # noqa: S608 no value

    def drop_pages(self, about: bytes) -> None:
        """Drop what was posted of it."""
        pages = "SELECT id FROM tip_page WHERE about = ?"
        self.db.execute(f"DELETE FROM tip_try WHERE page IN ({pages})", (about,))  # noqa: S608 no value
        self.db.execute("DELETE FROM tip_page WHERE about = ?", (about,))


def short(about: bytes) -> str:
    """Return what people call a tip: the beginning of its id."""
    return about.hex()[:10]


def _stored(row: tuple[bytes, int, str]) -> Stored:
    return Stored(about=row[0], version=row[1], case=Case.model_validate_json(row[2]))


def as_text(moment: datetime) -> str:
    """A moment as the tables hold it, in an order that text keeps."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def as_ms(moment: datetime) -> int:
    """A moment as pages hold it."""
    return int(moment.timestamp() * 1000)
