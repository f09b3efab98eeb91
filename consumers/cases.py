"""Cases of a partner: who answers for a group of alerts, and what a call tree may ask of one."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from consumers.case_rows import CaseRows, stored
from consumers.opened_alerts import OpenedAlert
from consumers.times import to_ms
from consumers.vault import CASES, Rows
from silenthit.call_tree.cases import Cases
from silenthit.call_tree.conditions import WEEKDAYS, Facts
from silenthit.call_tree.escalation import Case
from silenthit.call_tree.protocol import Protocol


def facts_of(opened: OpenedAlert, case_number: str, now: datetime, timezone: str) -> Facts:
    """Return what a call tree may ask of an alert; `county` is the first five of the ORI."""
    local = now.astimezone(ZoneInfo(timezone))
    common, card = opened.common, opened.card
    ori = card.ori if card else opened.sender.partition("#")[0]
    indicators = common.indicators if common else ()
    return {
        "kind": opened.kind,
        "decision": opened.decision.value,
        "score": opened.verdict.probability if opened.verdict else None,
        "indicators": indicators,
        "offences": common.offences if common else (),
        "minor": "minor" in indicators or any(s.minor for s in opened.subjects.values()),
        "history": common.history if common else False,
        "agency": opened.agency,
        "ori": ori,
        "county": ori[:5],
        "place": common.place if common else "",
        "label": opened.label,
        "case_number": case_number,
        "weekday": WEEKDAYS[local.weekday()],
        "time": local.time().replace(tzinfo=None),
    }


def cases_in(rows: Rows, protocol: Protocol | None, now: datetime) -> Cases:
    """Return the cases of the vault within one transaction."""
    return Cases(CaseRows(rows), protocol, now)


def due(rows: Rows, now: datetime) -> bool:
    """Whether a call is due."""
    return rows.count(CASES, CASES.c.due_at <= to_ms(now)) > 0


def case_of(rows: Rows, about: bytes) -> Case | None:
    """Return the case of a group of alerts, none if nobody had to hear of it."""
    row = rows.get(CASES, about)
    return stored(row).case if row else None
