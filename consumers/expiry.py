"""Expiry: tell people in time that a watch has to be reviewed, once for each warning."""

from __future__ import annotations

from datetime import datetime, timedelta

from consumers.history import Event, history, write_down
from consumers.paging import queue_page
from consumers.times import from_ms, to_ms
from consumers.vault import WATCHES, Rows, Values
from consumers.watches import GRACE, Watch
from silenthit.call_tree.pages import Page, PageKind
from silenthit.identity.compare import Decision

WARNINGS = (30, 14, 3, 0)  # days left; at 0 the grace begins


def warn(into: Rows, default_channels: tuple[str, ...], now: datetime) -> int:
    """Queue the warnings that are due; return how many. A watch that was late gets the last one."""
    soon = to_ms(now + timedelta(days=WARNINGS[0]))
    owned = (WATCHES.c.removed_at.is_(None), WATCHES.c.parent_id.is_(None))
    standing = (*owned, WATCHES.c.expires_at <= soon)
    return sum(_warned(into, row, default_channels, now) for row in into.find(WATCHES, *standing))


def _warned(into: Rows, row: Values, default_channels: tuple[str, ...], now: datetime) -> bool:
    expires = from_ms(row["expires_at"])
    days = min(each for each in WARNINGS if expires - now <= timedelta(days=each))
    mark = f"{days} days before {expires:%Y-%m-%d}"
    if any(each["text"] == mark for each in history(into, row["id"])):
        return False
    watch = Watch.model_validate_json(row["private"])
    write_down(into, row["id"], "warned", Event(who="", text=mark), now)
    why = f"expires in {days} days" if days else f"has expired and ends in {GRACE.days} days"
    code = row["id"].hex()[:8]
    fields = {
        "decision": "watch",
        "label": watch.label,
        "why": f"{why}; review it and run: silenthit watch renew {code}",
    }
    page = Page(kind=PageKind.NOTICE, fields=fields, channels=watch.deliver_to or default_channels)
    queue_page(into, row["id"], page, Decision.POSSIBLE, to_ms(now))
    return True
