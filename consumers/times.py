"""Times: milliseconds since the epoch in the vault, aware UTC in the code, ISO 8601 in print."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any


def moment(value: Any) -> Any:
    """Read a time as somebody writes it, in UTC unless it says otherwise; a day is its beginning.

    What is none comes back as it is: to say so is for whoever needs one.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def from_ms(moment: int) -> datetime:
    """The time, UTC, of milliseconds since the epoch."""
    return datetime.fromtimestamp(moment / 1000, UTC)


def iso(moment: datetime) -> str:
    """ISO 8601, UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def iso_ms(moment: int) -> str:
    """ISO 8601 of milliseconds since the epoch."""
    return iso(from_ms(moment))
