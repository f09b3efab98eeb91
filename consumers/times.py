"""Times: milliseconds since the epoch in the vault, aware UTC in the code, ISO 8601 in print."""

from __future__ import annotations

from datetime import UTC, datetime


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
