"""An alert in plaintext, as the vault keeps it and as a person or a machine is shown it."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime

from consumers.associations import Association, said
from consumers.times import iso, iso_ms
from consumers.triage import Verdict
from consumers.vault import Values
from schemas.parts import ContactCard, Frozen, Subject, TouchCommon
from schemas.vocabulary import CoarseKind
from silenthit.identity.compare import Decision


class OpenedAlert(Frozen):
    """What opening and triage found. `common`, `card` and subjects as the agency's policy shows."""

    label: str  # of the watch
    sender: str  # key id of the agency that sent it
    coarse_kind: CoarseKind
    card: ContactCard | None
    common: TouchCommon | None
    subjects: dict[int, Subject]
    matched: tuple[int, ...]  # subjects whose lock opened
    match_kinds: tuple[str, ...]  # what kinds of match key were in common
    verdict: Verdict | None  # none when no matched subject may be seen
    association: Association | None = None  # of a watch that was followed to

    @property
    def decision(self) -> Decision:
        """Triage's; possible where there is nothing to compare."""
        return self.verdict.decision if self.verdict else Decision.POSSIBLE

    @property
    def kind(self) -> str:
        """The touch's kind, the coarse one when no more may be seen."""
        return str(self.common.kind if self.common else self.coarse_kind)

    @property
    def agency(self) -> str:
        """The reporting agency's name, or its ORI."""
        return (self.card.agency if self.card else "") or self.sender.partition("#")[0]

    @property
    def near_a_place(self) -> bool:
        """Whether it is told for a place that is watched, and not for anybody."""
        return self.verdict is not None and self.verdict.of_place

    @property
    def occurred_at(self) -> AwareDatetime | None:
        """When it happened, as far as the record says."""
        return self.common.occurred_at if self.common else None


def summary(row: Values) -> dict[str, Any]:
    """Return one alert of the vault for `--json`, without its plaintext but for its label."""
    opened = read_opened(row)
    return {
        "alert_id": row["id"].hex(),
        "label": opened.label if opened else None,
        "record_number": opened.common.record_number if opened and opened.common else None,
        "agency": opened.agency if opened else None,
        "kind": opened.kind if opened else None,
        "decision": row["decision"],
        "probability": row["probability"],
        "status": row["status"],
        "revision": row["revision"],
        "earlier": row["earlier"],
        "occurred_at": iso(opened.occurred_at) if opened and opened.occurred_at else None,
        "appended_at": iso_ms(row["appended_at"]),
        "received_at": iso_ms(row["received_at"]),
        "updated_at": iso_ms(row["updated_at"]),
        "reason": None,
        "association": said(opened.association) if opened and opened.association else None,
    }


def unopened_summary(row: Values) -> dict[str, Any]:
    """Return one message that could not be opened, in the form of `summary`."""
    empty = dict.fromkeys(
        (
            *("label", "record_number", "agency", "kind", "decision", "probability"),
            *("occurred_at", "association"),
        )
    )
    return {
        "alert_id": (row["alert_id"] or row["id"]).hex(),
        **empty,
        "status": "unopened",
        "revision": row["revision"],
        "earlier": False,
        "appended_at": iso_ms(row["appended_at"]),
        "received_at": iso_ms(row["received_at"]),
        "updated_at": iso_ms(row["received_at"]),
        "reason": row["reason"],
    }


def read_opened(row: Values) -> OpenedAlert | None:
    """Return a row's plaintext, none when it was purged or never there."""
    return OpenedAlert.model_validate_json(row["private"]) if row["private"] is not None else None
