"""Pages of tips in the outbox's file: what `silenthit.call_tree.posting` asks of a store."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass

from silenthit.call_tree.pages import Leased, Page, PageKind, PageState, TryOutcome

_ID_BYTES = 16
_HELD = "id = ? AND state = ? AND due_at = ?"  # still leased as it was


@dataclass(frozen=True, slots=True)
class TipPages:
    """The pages, each method one transaction of a connection of its own. Times are in ms."""

    connect: Callable[[], AbstractContextManager[sqlite3.Connection]]

    @staticmethod
    def put(db: sqlite3.Connection, about: bytes, page: Page, now: int) -> None:
        """Write a page to be posted, within the transaction of its cause."""
        row = (secrets.token_bytes(_ID_BYTES), about, page.kind, PageState.DUE, now, 0)
        values = (*row, page.model_dump_json())
        db.execute("INSERT INTO tip_page VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    @staticmethod
    def cancel(db: sqlite3.Connection, about: bytes, kinds: Collection[PageKind]) -> None:
        """Take back pages of these kinds that nobody has begun to post, and every call."""
        for kind in kinds:
            db.execute(
                "UPDATE tip_page SET state = ? WHERE about = ? AND kind = ? AND state = ?"
                " AND (tries = 0 OR kind = ?)",
                (PageState.CANCELLED, about, kind, PageState.DUE, PageKind.CALL),
            )

    def lease(self, now: int, until: int) -> Leased | None:
        """Take the page that has been due longest; nobody else will take it until then."""
        with self.connect() as db:
            row = db.execute(
                "UPDATE tip_page SET state = ?, due_at = ? WHERE id = (SELECT id FROM tip_page"
                " WHERE state IN (?, ?) AND due_at <= ? ORDER BY due_at LIMIT 1)"
                " RETURNING id, about, content, tries",
                (PageState.POSTING, until, PageState.DUE, PageState.POSTING, now),
            ).fetchone()
        if row is None:
            return None
        page = Page.model_validate_json(row[2])
        return Leased(page_id=row[0], about=row[1], page=page, tries=row[3], until=until)

    def tries(self, page_id: bytes) -> list[tuple[str, TryOutcome]]:
        """Return channel and outcome of every try of a page so far."""
        with self.connect() as db:
            rows = db.execute("SELECT channel, outcome FROM tip_try WHERE page = ?", (page_id,))
            return [(channel, TryOutcome(outcome)) for channel, outcome in rows]

    def begin(self, leased: Leased, channel: str, now: int) -> bytes | None:  # noqa: ARG002 no time is kept
        """Write down that a post is about to be made, None if it must not be any more."""
        made = secrets.token_bytes(_ID_BYTES)
        with self.connect() as db:
            written = db.execute(
                f"INSERT INTO tip_try SELECT ?, id, ?, ? FROM tip_page WHERE {_HELD}",  # noqa: S608 no value
                (made, channel, TryOutcome.TRYING, *_held(leased)),
            )
            return made if written.rowcount else None

    def end(self, try_id: bytes, outcome: TryOutcome) -> None:
        """Write down what became of it."""
        with self.connect() as db:
            db.execute("UPDATE tip_try SET outcome = ? WHERE id = ?", (outcome, try_id))

    def done(self, leased: Leased) -> None:
        """It is posted."""
        with self.connect() as db:
            db.execute(
                f"UPDATE tip_page SET state = ? WHERE {_HELD}",  # noqa: S608 no value
                (PageState.POSTED, *_held(leased)),
            )

    def again(self, leased: Leased, due_at: int) -> None:
        """It is due again then."""
        with self.connect() as db:
            db.execute(
                f"UPDATE tip_page SET state = ?, tries = ?, due_at = ? WHERE {_HELD}",  # noqa: S608 no value
                (PageState.DUE, leased.tries + 1, due_at, *_held(leased)),
            )


def _held(leased: Leased) -> tuple[object, ...]:
    return (leased.page_id, PageState.POSTING, leased.until)
