"""Open cases: what still needs somebody, who answers for it, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from consumers.case_rows import CaseRows, stored
from consumers.groups import members
from consumers.history import history
from consumers.vault import CASES, Rows, Vault
from silenthit.call_tree.escalation import Case, Stage

_OPEN = (Stage.CLIMBING, Stage.OWNED, Stage.LAST_RESORT)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenCase:
    """One case, in words that may be shown anywhere."""

    about: bytes
    fields: dict[str, str]  # templates.PUBLIC
    alerts: int  # of its group that stand; none for a canary
    case: Case
    opened_at: str  # ISO 8601, UTC


def open_cases(vault: Vault) -> list[OpenCase]:
    """Return the open cases: what nobody answers for first, then by when something is due."""
    with vault.read() as rows:
        found = list(_open_cases(rows))
    return sorted(found, key=_urgency)


def _open_cases(rows: Rows) -> Iterator[OpenCase]:
    for row in rows.find(CASES, CASES.c.stage.in_(_OPEN)):
        about = row["id"]
        done = history(rows, about)
        yield OpenCase(
            about=about,
            fields=dict(CaseRows(rows).fields(about)),
            alerts=len(list(members(rows, about))),
            case=stored(row).case,
            opened_at=done[0]["at"] if done else "",
        )


def _urgency(each: OpenCase) -> tuple[bool, float, str]:
    due = each.case.due.timestamp() if each.case.due else float("inf")
    return each.case.stage is Stage.OWNED, due, each.opened_at


def clock(case: Case, now: datetime) -> str:
    """Return what happens next and when, such as "climbs in 12 min"."""
    if case.stage is Stage.LAST_RESORT:
        return "nobody answered"
    if case.due is None:
        return "owned" if case.stage is Stage.OWNED else "nobody is called"
    word = "reminds" if case.stage is Stage.OWNED else "climbs"
    minutes = max(0, round((case.due - now).total_seconds() / 60))
    wait = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"  # noqa: PLR2004
    return f"{word} in {wait}" if minutes else f"{word} now"
