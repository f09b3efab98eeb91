"""Dissemination: an alert goes to a case file, and the record of that stays (28 CFR 23.20(g)).

Who was given what, when, and why is written down before anything leaves.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from consumers.history import Event, history, write_down
from consumers.opened_alerts import read_opened, summary
from consumers.roles import Right
from consumers.times import iso
from consumers.vault import Rows, Values
from silenthit.errors import InputError, RefusedError


def export(
    into: Rows, alert: Values, *, who: str, recipient: str, purpose: str, now: datetime
) -> dict[str, Any]:
    """Return what a case file gets of an alert, having written down who gets it and why.

    Raises RefusedError without recipient, purpose or the right to do it, InputError for an alert
    that was purged.
    """
    into.actor.need(Right.EXPORT)
    if not recipient.strip() or not purpose.strip():
        raise RefusedError(
            "expected whom it is for and why, got no answer; state --to and --purpose: criminal "
            "intelligence goes only to those with a need and a right to know (28 CFR 23.20(e))"
        )
    opened = read_opened(alert)
    if opened is None:
        raise InputError("expected an alert that is still there, got one that was purged")
    write_down(
        into, alert["id"], "exported", Event(who=who, text=f"to {recipient}: {purpose}"), now
    )
    return {
        **summary(alert),
        "exported_at": iso(now),
        "exported_by": who,
        "recipient": recipient,
        "purpose": purpose,
        "touch": opened.model_dump(mode="json"),
        "history": history(into, alert["id"]),
    }


def write_export(path: Path, content: dict[str, Any]) -> None:
    """Write an export to a new file readable by its owner alone. InputError if it is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"expected a new file, got {path}, which is there already") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
