"""Expiry: tell people in time that a watch has to be reviewed, once for each warning."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.sql.elements import ColumnElement

from consumers.history import Event, write_down
from consumers.paging import queue_page
from consumers.times import from_ms, to_ms
from consumers.vault import EVENTS, WATCHES, Rows, Values
from consumers.watches import GRACE, Watch
from schemas.topics import DAY_MS
from silenthit.call_tree.pages import Page, PageKind
from silenthit.identity.compare import Decision

WARNINGS = (30, 14, 3, 0)  # days left; at 0 the grace begins
_WARNED = "warned"


def warnings_due(rows: Rows, now: datetime) -> bool:
    """Whether somebody has to be warned; cheap to ask, whatever the number of watches."""
    return any(rows.count(WATCHES, *_unwarned(days, now)) for days in WARNINGS)


def warn(into: Rows, default_channels: tuple[str, ...], now: datetime) -> int:
    """Queue the warnings that are due; return how many. A watch that was late gets the last one."""
    warned = 0
    for days in sorted(WARNINGS):  # the last one first: it stands for those before it
        for row in into.find(WATCHES, *_unwarned(days, now)):
            _warn(into, row, days, default_channels, now)
            warned += 1
    return warned


def _unwarned(days: int, now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Conditions on watches with so many days left, or fewer, who were not warned since."""
    since = WATCHES.c.expires_at - days * DAY_MS
    warned = select(EVENTS.c.id).where(
        EVENTS.c.about == WATCHES.c.id, EVENTS.c.action == _WARNED, EVENTS.c.at >= since
    )
    soon = to_ms(now + timedelta(days=days))
    owned = (WATCHES.c.removed_at.is_(None), WATCHES.c.parent_id.is_(None))
    return (*owned, WATCHES.c.expires_at <= soon, ~warned.exists())


def _warn(
    into: Rows, row: Values, days: int, default_channels: tuple[str, ...], now: datetime
) -> None:
    """Say it to the watch's channels; the log has when it was said."""
    expires = from_ms(row["expires_at"])
    mark = f"{days} days before {expires:%Y-%m-%d}"
    watch = Watch.model_validate_json(row["private"])
    if watch.ends_with_its_time:
        mark = "nobody: it ends with the time that it was placed for"
    write_down(into, row["id"], _WARNED, Event(who="", text=mark), now)
    if watch.ends_with_its_time:
        return
    why = f"expires in {days} days" if days else f"has expired and ends in {GRACE.days} days"
    code = row["id"].hex()[:8]
    fields = {
        "decision": "watch",
        "label": watch.label,
        "why": f"{why}; review it and run: silenthit watch renew {code}",
    }
    page = Page(kind=PageKind.NOTICE, fields=fields, channels=watch.deliver_to or default_channels)
    queue_page(into, row["id"], page, Decision.POSSIBLE, to_ms(now))
