"""Whom this partner met: others who watch the same subject, and what each of them chose to show."""

from __future__ import annotations

from typing import Any

from consumers.templates import code
from consumers.times import from_ms, iso
from consumers.vault import MEETINGS, WATCHES, Rows, Values
from consumers.watches import Watch
from schemas.parts import ContactCard, Frozen
from silenthit.errors import InputError

_SHORTEST_PREFIX = 4


class Met(Frozen):
    """What one meeting says."""

    card: ContactCard | None  # none: it does not open, which its sender has to explain
    subjects: tuple[int, ...] = ()  # numbers, from 1, of one's own subjects that the other watches
    match_kinds: tuple[str, ...] = ()


def listed(rows: Rows) -> list[dict[str, Any]]:
    """Return every meeting in plaintext, the newest first."""
    found = sorted(rows.find(MEETINGS), key=lambda row: int(row["received_at"]), reverse=True)
    return [_shown(rows, row) for row in found]


def named(rows: Rows, name: str) -> dict[str, Any]:
    """Return the meeting whose id (hex) begins like this, four digits or more.

    Raises InputError when none or several do.
    """
    ids = [row["id"] for row in rows.find(MEETINGS, columns=("watch_id",))]
    found = [each for each in ids if each.hex().startswith(name.lower())]
    row = rows.get(MEETINGS, found[0]) if len(found) == 1 else None
    if row is None or len(name) < _SHORTEST_PREFIX:
        raise InputError(
            f"expected the beginning of the id of one meeting, got one of {len(found)}; see "
            "`silenthit deconflictions list`"
        )
    return _shown(rows, row)


def _shown(rows: Rows, row: Values) -> dict[str, Any]:
    met = Met.model_validate_json(row["private"])
    card = met.card
    return {
        "meeting_id": row["id"].hex(),
        "watch_id": row["watch_id"].hex(),
        "label": _label(rows, row),
        "subjects": list(met.subjects),
        "match_kinds": list(met.match_kinds),
        "opened": card is not None,
        "shown_as": card.agency if card else "",
        "name": card.name if card else "",
        "phone": card.phone if card else "",
        "email": card.email if card else "",
        "case_label": card.case_number if card else "",
        "received_at": iso(from_ms(row["received_at"])),
        "updated_at": iso(from_ms(row["updated_at"])),
    }


def _label(rows: Rows, row: Values) -> str:
    watch = rows.get(WATCHES, row["watch_id"])
    return Watch.model_validate_json(watch["private"]).label if watch else ""


def meeting_fields(rows: Rows, about: bytes) -> dict[str, str]:
    """Return what may be shown anywhere of a meeting, nothing if this is about none."""
    row = rows.get(MEETINGS, about)
    if row is None:
        return {}
    return {
        "decision": "deconfliction",
        "label": _label(rows, row),
        "kind": "somebody else watches the same",
        "agency": "another partner",
        "at": iso(from_ms(row["updated_at"])),
        "score": "agreed by both",
        "alert_id": about.hex(),
        "code": code(about),
        "why": f"see: silenthit deconflictions show {code(about)}",
    }
