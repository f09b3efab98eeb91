"""The alarm: an organisation asks far more in an hour than it did in its own past."""

from __future__ import annotations

import sqlite3
from statistics import median

from key_holder.settings import AlarmSettings

HOUR_S = 3600
HOURS_A_DAY = 24


def count_hour(
    book: sqlite3.Connection,
    settings: AlarmSettings,
    organisation: str,
    elements: int,
    now: float,
) -> bool:
    """Add to this hour's count; True when this batch lifts it over what is usual.

    Usual is `factor` times the median of the organisation's hours in which it asked at all, and
    never less than `floor`. Call it within a transaction; it is true at most once an hour.
    """
    hour = int(now // HOUR_S)
    row = book.execute(
        "INSERT INTO hours VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
        " SET elements = elements + excluded.elements RETURNING elements",
        (organisation, hour, elements),
    ).fetchone()
    total: int = row[0]
    if total <= settings.floor:
        return False
    past = book.execute(
        "SELECT elements FROM hours WHERE organisation = ? AND hour >= ? AND hour < ?",
        (organisation, hour - settings.past_days * HOURS_A_DAY, hour),
    ).fetchall()
    usual = settings.factor * median(each[0] for each in past) if past else 0.0
    limit = max(float(settings.floor), usual)
    return total > limit >= total - elements
