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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from producers.outbox_file import Transaction, retry_of
from producers.records import Record
from producers.tip_pages import TipPages
from producers.tip_rows import SCHEMA, TipRows, as_ms, as_text
from silenthit.blinding.locks import derived
from silenthit.call_tree.cases import Cases
from silenthit.call_tree.channels import ChannelSettings, Outlet
from silenthit.call_tree.conditions import WEEKDAYS, Facts
from silenthit.call_tree.escalation import Case, Stage
from silenthit.call_tree.pages import Leased
from silenthit.call_tree.posting import Posted, post_due
from silenthit.call_tree.protocol import Protocol
from silenthit.call_tree.templates import render
from silenthit.errors import InputError, RefusedError

TITLE = "Tip {tip_id}"
BODY = "{why}\nsilenthit agency tips show {tip_id}\n{link}"
FIELDS = ("tip_id", "why", "link")
_SHORTEST_ID = 4

# The claim link of somebody for a tip.
Link = Callable[[bytes, str], str]


def no_link(_about: bytes, _person: str) -> str:
    """Return the link of an agency without a reply server: none."""
    return ""


@dataclass(frozen=True, slots=True)
class Tip:
    """One tip with its case and all that was done."""

    about: bytes
    heard_at: datetime
    record: Record = field(repr=False)
    case: Case
    events: tuple[dict[str, str], ...] = field(repr=False)


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
                    (about, as_text(cases.now), self._closed(text, about)),
                )
                cases.hear(about, self._facts(record, cases.now))

    def work(self, outlets: Mapping[str, Outlet], link: Link = no_link) -> Posted:
        """Make the calls that are due, and post the pages that are."""
        with self._write() as (_, cases):
            cases.escalate()
        pages = TipPages(self._connection)
        return post_due(pages, outlets, lambda: as_ms(self._clock()), partial(_shown, link))

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

    def snooze(self, about: bytes, who: str, wait: timedelta) -> None:
        """Keep it, and be reminded later. Raises RefusedError for whom it is not."""
        with self._write() as (_, cases):
            cases.snooze(about, self._person(who), wait)

    def note(self, about: bytes, who: str, text: str) -> None:
        """Write something down for everybody who works on it."""
        with self._write() as (_, cases):
            cases.note(about, self._person(who), text)

    def forget(self, about: bytes) -> None:
        """Drop what a tip says and what was noted of it: the record was taken back."""
        with self._write() as (db, cases):
            if self._record(db, about) is not None:
                cases.end(about, "taken back")
                TipRows(db, self._closed).drop(about)

    def end(self, about: bytes, why: str) -> None:
        """Close the case of what no longer stands; what it says is kept for a while."""
        with self._write() as (db, cases):
            if self._record(db, about) is not None:
                cases.end(about, why)

    def purge(self, kept: timedelta) -> int:
        """Drop every tip that was closed, and not touched since, so long ago; return how many.

        What it says, what was noted and whom it was told: nothing of it stays in the file. Raises
        RetryError when that can't be written.
        """
        with self._write() as (db, cases):
            rows = TipRows(db, self._closed)
            old = [
                about
                for about in rows.silent_since(cases.now - kept)
                if (known := rows.get(about)) and known.case.stage is Stage.CLOSED
            ]
            for about in old:
                rows.drop(about)
                rows.drop_pages(about)
            return len(old)

    def standing(self, about: bytes) -> Case:
        """Where the case of a tip stands. Raises RefusedError when it is not kept any more."""
        with self._connection() as db:
            known = TipRows(db, self._closed).get(about)
        if known is None:
            raise RefusedError("expected a tip that is still kept, got one that is gone")
        return known.case

    def person(self, who: str) -> str:
        """Return one of the protocol's people. Raises RefusedError for anybody else."""
        if self._protocol is None or who not in self._protocol.people:
            raise RefusedError(
                "expected a link of somebody in the call tree, got another's; ask the supervisor"
            )
        return who

    def now(self) -> datetime:
        """The present, by the clock of the cases."""
        return self._clock()

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
        known = TipRows(db, self._closed).get(about)
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
                db.executescript(SCHEMA)
                yield db
            except sqlite3.Error as error:
                raise retry_of(error) from None

    @contextmanager
    def _write(self) -> Iterator[tuple[sqlite3.Connection, Cases]]:
        with self._connection() as db, Transaction(db, self._lock):
            rows = TipRows(db, self._closed)
            yield db, Cases(rows, self._protocol, self._clock(), "tip", "silenthit agency tips")

    def _closed(self, text: str, about: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, text.encode(), about)

    def _opened(self, box: bytes, about: bytes) -> bytes:
        return self._cipher.decrypt(box[:12], box[12:], about)


def _shown(link: Link, leased: Leased, settings: ChannelSettings) -> tuple[str, str]:
    page = leased.page
    fields = {**page.fields, "link": link(leased.about, page.person) if page.person else ""}
    return render(settings.title or TITLE, fields), render(settings.body or BODY, fields).rstrip()
