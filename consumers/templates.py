"""Templates: what a channel shows of an alert. Without leave, nothing of a subject.

A template names fields in braces: `{decision}: {label}`. Those of the second list quote the record;
a channel shows them only if it says `subject_data = true`.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

from consumers.opened_alerts import OpenedAlert, iso
from consumers.settings import ChannelSettings
from schemas.parts import Subject
from silenthit.errors import SettingsError

PUBLIC = ("decision", "label", "kind", "agency", "at", "score", "alert_id", "code", "why")
PRIVATE = ("subjects", "place", "narrative", "record_number", "reasons", "contact")

TITLE = "SilentHit {decision}: {label}"
BODY = "{kind}, {agency}, {at}\nscore {score}\nalert {alert_id}"
CALL_BODY = BODY + "\n{why}; answer with: silenthit alerts claim {code}"


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
        "code": alert_id.hex()[:8],
        "why": "",
    }


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


def check_template(name: str, settings: ChannelSettings) -> None:
    """Refuse a template that cannot be filled. Raises SettingsError naming channel and field."""
    for template in (settings.title, settings.body):
        for field in _fields_of(name, template or ""):
            if field in PRIVATE and not settings.subject_data:
                raise SettingsError(
                    f"expected no subject data in the template of channels.{name}, got "
                    f"{{{field}}}; take it out, or set subject_data = true if whoever reads that "
                    "channel may see it"
                )
            if field not in PUBLIC + PRIVATE:
                raise SettingsError(
                    f"expected fields of an alert in the template of channels.{name}, got another; "
                    f"there are {', '.join(PUBLIC + PRIVATE)}"
                )


def _fields_of(name: str, template: str) -> list[str]:
    try:
        return [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError:
        raise SettingsError(
            f"expected {{field}} in the template of channels.{name}, got unmatched braces"
        ) from None


def render(template: str, fields: Mapping[str, str]) -> str:
    """Fill a checked template; a field is put in as it is, whatever follows its name."""
    pieces = (
        text + (fields.get(field, "") if field is not None else "")
        for text, field, _, _ in Formatter().parse(template)
    )
    return "".join(pieces)
