"""History: what was done to an alert or a watch, by whom, and what they said."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from consumers.opened_alerts import iso_ms
from consumers.registrations import to_ms
from consumers.vault import EVENTS, Rows
from schemas.parts import Frozen

_ID_BYTES = 16


class Event(Frozen):
    """One thing that was done."""

    who: str
    text: str = ""


def write_down(into: Rows, about: bytes, action: str, event: Event, now: datetime) -> None:
    """Add to the history of an alert or a watch, by its id."""
    write_down_all(into, [about], action, event, now)


def write_down_all(
    into: Rows, about: Iterable[bytes], action: str, event: Event, now: datetime
) -> None:
    """Add the same to the history of several."""
    columns = {"at": to_ms(now), "action": action, "private": event.model_dump_json().encode()}
    new = ((secrets.token_bytes(_ID_BYTES), {**columns, "about": each}) for each in about)
    into.add(EVENTS, new)


def history(rows: Rows, about: bytes) -> list[dict[str, Any]]:
    """Return everything that was done to an alert or a watch, in order."""
    found = []
    for row in rows.find(EVENTS, EVENTS.c.about == about):
        event = Event.model_validate_json(row["private"])
        found.append(
            {"at": iso_ms(row["at"]), "action": row["action"], "who": event.who, "text": event.text}
        )
    return sorted(found, key=lambda each: str(each["at"]))
