"""History: what was done to an alert or a watch, by whom, and what they said. It is the log's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from consumers.roles import Right
from consumers.times import iso_ms, to_ms
from consumers.vault import EVENTS, WATCHES, Rows
from consumers.vault.log import SEEN, Event

__all__ = ["Event", "history", "write_down", "write_down_all"]


def write_down(into: Rows, about: bytes, action: str, event: Event, now: datetime) -> None:
    """Add to the history of an alert or a watch, by its id."""
    write_down_all(into, [about], action, event, now)


def write_down_all(
    into: Rows, about: Iterable[bytes], action: str, event: Event, now: datetime
) -> None:
    """Add the same to the history of several."""
    into.append([(each, action, event) for each in about], to_ms(now))


def history(rows: Rows, about: bytes) -> list[dict[str, Any]]:
    """Return everything that was done to an alert or a watch, in order; not who merely saw it.

    Raises RefusedError for somebody who may not view it.
    """
    _viewable(rows, about)
    return [
        {"at": iso_ms(entry.at), "action": entry.action, "who": event.who, "text": event.text}
        for entry, _ in rows.entries(EVENTS.c.about == about, EVENTS.c.action != SEEN)
        for event in [Event.model_validate_json(entry.content)]
    ]


def _viewable(rows: Rows, about: bytes) -> None:
    """Those who may not view alerts may have the history of a watch, but of nothing else."""
    if rows.actor.may(Right.VIEW_ALERTS):
        return
    rows.actor.need(Right.VIEW_WATCHES)
    if not rows.count(WATCHES, WATCHES.c.id == about):
        rows.actor.need(Right.VIEW_ALERTS)
