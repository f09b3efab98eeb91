"""What of an alert a channel's template may show: PUBLIC anywhere, PRIVATE with `subject_data`."""

from __future__ import annotations

from consumers.associations import said_anywhere
from consumers.opened_alerts import OpenedAlert
from consumers.times import iso
from schemas.parts import Subject
from silenthit.call_tree.channels import ChannelSettings
from silenthit.call_tree.templates import check_template

PUBLIC = ("decision", "label", "kind", "agency", "at", "score", "alert_id", "code", "why", "link")
PRIVATE = ("subjects", "place", "narrative", "record_number", "reasons", "contact")

NEAR_A_PLACE = "operation planned near the place you watch"
TITLE = "SilentHit {decision}: {label}"
BODY = "{kind}, {agency}, {at}\nscore {score}\nalert {alert_id}"
CALL_BODY = BODY + "\n{why}; answer with: silenthit alerts claim {code}\n{link}"
_CODE_DIGITS = 8


def code(about: bytes) -> str:
    """Return what a person types to name a case."""
    return about.hex()[:_CODE_DIGITS]


def public_fields(alert_id: bytes, opened: OpenedAlert) -> dict[str, str]:
    """Return what may be shown anywhere; nothing of a subject, whatever the alert holds."""
    score = f"{opened.verdict.probability:.0%}" if opened.verdict else "not scored"
    return {
        "decision": opened.decision.value,
        "label": opened.label,
        "kind": opened.kind.replace("_", " "),
        "agency": opened.agency,
        "at": iso(opened.occurred_at) if opened.occurred_at else "time not given",
        "score": score,
        "alert_id": alert_id.hex(),
        "code": code(alert_id),
        "why": _why(opened),
    }


def _why(opened: OpenedAlert) -> str:
    """Why it is told where the decision does not say it; nothing of where and of whom."""
    if opened.association:
        return said_anywhere(opened.association)
    return NEAR_A_PLACE if opened.near_a_place else ""


def private_fields(opened: OpenedAlert | None) -> dict[str, str]:
    """Return what quotes the record; all empty once it was purged."""
    if opened is None:
        return dict.fromkeys(PRIVATE, "")
    common, card = opened.common, opened.card
    return {
        "subjects": "; ".join(map(_names, opened.subjects.values())),
        "place": common.place if common else "",
        "narrative": common.narrative if common else "",
        "record_number": common.record_number if common else "",
        "reasons": "; ".join(opened.verdict.reasons) if opened.verdict else "",
        "contact": " ".join(filter(None, (card.name, card.phone))) if card else "",
    }


def _names(subject: Subject) -> str:
    names = (each.full or f"{each.given} {each.surname}".strip() for each in subject.names)
    return f"{subject.role.value} {' / '.join(names)}".strip()


def check_channel(name: str, settings: ChannelSettings) -> None:
    """Refuse a template that cannot be filled. Raises SettingsError naming channel and field."""
    check_template(name, settings, public=PUBLIC, private=PRIVATE)
