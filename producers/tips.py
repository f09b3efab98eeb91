"""Tips: each has somebody who answers for it, by the agency's own call tree.

    desk = Tips(path, key, protocol)
    desk.hear([(record_id, record)])     # before the outbox takes them: a tip is never only a touch
    desk.work(outlets)                   # the agent, every few seconds: calls, and pages
    desk.claim(about, "reyes")

Beside the outbox, in the same file; what a tip says, and what is noted of it, is encrypted.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from producers.outbox_file import Transaction, retry_of
from producers.records import Record
from producers.tip_pages import TipPages
from silenthit.blinding.locks import derived
from silenthit.call_tree.cases import Cases, Stored
from silenthit.call_tree.channels import ChannelSettings, Outlet
from silenthit.call_tree.conditions import WEEKDAYS, Facts
from silenthit.call_tree.escalation import Case
from silenthit.call_tree.pages import Leased, Page, PageKind
from silenthit.call_tree.posting import Posted, post_due
from silenthit.call_tree.protocol import Protocol
from silenthit.call_tree.templates import render
from silenthit.errors import InputError

TITLE = "Tip {tip_id}"
BODY = "{why}\nsilenthit agency tips show {tip_id}"
FIELDS = ("tip_id", "why")
_SHORTEST_ID = 4
_SCHEMA = """
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
class Tip:
    """One tip with its case and all that was done."""

    about: bytes
    heard_at: datetime
    record: Record = field(repr=False)
    case: Case
    events: tuple[dict[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The cases within one transaction: what `silenthit.call_tree.cases` asks of a store."""

    db: sqlite3.Connection
    box: Callable[[str, bytes], bytes]

    def get(self, about: bytes) -> Stored | None:
        row = self.db.execute(
            "SELECT about, version, content FROM tip_case WHERE about = ?", (about,)
        ).fetchone()
        return _stored(row) if row else None

    def save(self, about: bytes, version: int, case: Case, now: datetime) -> bool:  # noqa: ARG002
        due = _text(case.due) if case.due else None
        changed = self.db.execute(
            "INSERT INTO tip_case (about, version, due_at, content) VALUES (?1, ?2 + 1, ?3, ?4)"
            " ON CONFLICT (about) DO UPDATE SET version = ?2 + 1, due_at = ?3, content = ?4"
            " WHERE version = ?2",
            (about, version, due, case.model_dump_json()),
        )
        return changed.rowcount == 1

    def due(self, now: datetime) -> Iterable[Stored]:
        query = "SELECT about, version, content FROM tip_case WHERE due_at <= ? ORDER BY due_at"
        return map(_stored, self.db.execute(query, (_text(now),)).fetchall())

    def note(self, about: bytes, action: str, who: str, text: str, now: datetime) -> None:
        event = {"at": _text(now), "action": action, "who": who, "text": text}
        self.db.execute(
            "INSERT INTO tip_event (about, at, box) VALUES (?, ?, ?)",
            (about, event["at"], self.box(json.dumps(event), about)),
        )

    def queue(self, about: bytes, page: Page, now: datetime) -> None:
        TipPages.put(self.db, about, page, _ms(now))

    def cancel(self, about: bytes, kinds: Collection[PageKind]) -> None:
        TipPages.cancel(self.db, about, kinds)

    def fields(self, about: bytes) -> Mapping[str, str]:
        return {"tip_id": short(about)}

    def told(self, about: bytes) -> tuple[str, ...]:  # noqa: ARG002 people are called, no channels
        return ()


class Tips:
    """One agency's tips. A connection lasts for one call, so that nothing needs to be closed."""

    def __init__(
        self,
        path: Path,
        key: bytes,
        protocol: Protocol | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`key` is the outbox's. Without a protocol tips can be read, and nobody is called."""
        self._path, self._protocol, self._clock = path, protocol, clock
        self._cipher = AESGCM(derived(key, b"silenthit/1/tips"))
        self._lock = threading.RLock()

    def hear(self, tips: Iterable[tuple[bytes, Record]]) -> None:
        """Keep tips and open a case for each that is new, or again for one that says more.

        Raises RetryError when the disk is full.
        """
        with self._write() as (db, cases):
            for about, record in tips:
                known = self._record(db, about)
                if known == record:
                    continue
                text = record.model_dump_json()
                db.execute(
                    "INSERT INTO tip VALUES (?1, ?2, ?3)"
                    " ON CONFLICT (about) DO UPDATE SET box = ?3",
                    (about, _text(cases.now), self._closed(text, about)),
                )
                cases.hear(about, self._facts(record, cases.now))

    def work(self, outlets: Mapping[str, Outlet]) -> Posted:
        """Make the calls that are due, and post the pages that are."""
        with self._write() as (_, cases):
            cases.escalate()
        pages = TipPages(self._connection)
        return post_due(pages, outlets, lambda: _ms(self._clock()), _shown)

    def claim(self, about: bytes, who: str) -> None:
        """Answer for a tip. Raises RefusedError, InputError for whom the protocol does not know."""
        with self._write() as (_, cases):
            cases.claim(about, self._person(who))

    def release(self, about: bytes, who: str, text: str) -> None:
        """Answer for it no more: it climbs again."""
        with self._write() as (_, cases):
            cases.release(about, self._person(who), text)

    def close(self, about: bytes, who: str, text: str) -> None:
        """Be done with it."""
        with self._write() as (_, cases):
            cases.close(about, self._person(who), text)

    def note(self, about: bytes, who: str, text: str) -> None:
        """Write something down for everybody who works on it."""
        with self._write() as (_, cases):
            cases.note(about, self._person(who), text)

    def forget(self, about: bytes) -> None:
        """Drop what a tip says and what was noted of it: the record was taken back."""
        with self._write() as (db, cases):
            if self._record(db, about) is not None:
                cases.end(about, "taken back")
                for table in ("tip_event", "tip_case", "tip"):
                    db.execute(f"DELETE FROM {table} WHERE about = ?", (about,))  # noqa: S608 no value

    def all(self) -> list[Tip]:
        """Every tip, oldest first."""
        with self._connection() as db:
            found = db.execute("SELECT about, heard_at FROM tip ORDER BY heard_at").fetchall()
            return [self._tip(db, about, heard_at) for about, heard_at in found]

    def find(self, tip_id: str) -> Tip:
        """Return the tip whose id begins so. Raises InputError for none, or several."""
        found = [each for each in self.all() if each.about.hex().startswith(tip_id.lower())]
        if len(found) != 1 or len(tip_id) < _SHORTEST_ID:
            raise InputError(
                f"expected the beginning of one tip's id, got that of {len(found)}; see "
                "`silenthit agency tips list`"
            )
        return found[0]

    def _tip(self, db: sqlite3.Connection, about: bytes, heard_at: str) -> Tip:
        record = self._record(db, about)
        known = _Rows(db, self._closed).get(about)
        assert record is not None
        assert known is not None
        rows = db.execute("SELECT box FROM tip_event WHERE about = ? ORDER BY id", (about,))
        events = tuple(json.loads(self._opened(box, about)) for (box,) in rows)
        return Tip(about, datetime.fromisoformat(heard_at), record, known.case, events)

    def _record(self, db: sqlite3.Connection, about: bytes) -> Record | None:
        row = db.execute("SELECT box FROM tip WHERE about = ?", (about,)).fetchone()
        return Record.model_validate_json(self._opened(row[0], about)) if row else None

    def _person(self, who: str) -> str:
        people = self._protocol.people if self._protocol else {}
        if who not in people:
            raise InputError(
                f"expected one of the protocol's people ({', '.join(people) or 'none'}), got "
                "another; name one, or add them to the protocol"
            )
        return who

    def _facts(self, record: Record, now: datetime) -> Facts:
        local = now.astimezone(ZoneInfo(self._protocol.timezone if self._protocol else "UTC"))
        return {
            "kind": record.kind.value,
            "indicators": record.indicators,
            "offences": record.offences,
            "minor": "minor" in record.indicators or any(s.minor for s in record.subjects),
            "place": record.place,
            "case_number": record.contact.case_number,
            "weekday": WEEKDAYS[local.weekday()],
            "time": local.time().replace(tzinfo=None),
        }

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as db:
            try:
                db.execute("PRAGMA busy_timeout=30000")
                db.executescript(_SCHEMA)
                yield db
            except sqlite3.Error as error:
                raise retry_of(error) from None

    @contextmanager
    def _write(self) -> Iterator[tuple[sqlite3.Connection, Cases]]:
        with self._connection() as db, Transaction(db, self._lock):
            rows = _Rows(db, self._closed)
            yield db, Cases(rows, self._protocol, self._clock(), "tip", "silenthit agency tips")

    def _closed(self, text: str, about: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, text.encode(), about)

    def _opened(self, box: bytes, about: bytes) -> bytes:
        return self._cipher.decrypt(box[:12], box[12:], about)


def short(about: bytes) -> str:
    """Return what people call a tip: the beginning of its id."""
    return about.hex()[:10]


def _shown(leased: Leased, settings: ChannelSettings) -> tuple[str, str]:
    fields = leased.page.fields
    return render(settings.title or TITLE, fields), render(settings.body or BODY, fields)


def _stored(row: tuple[bytes, int, str]) -> Stored:
    return Stored(about=row[0], version=row[1], case=Case.model_validate_json(row[2]))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
