"""The cases of a call tree in the vault: what `silenthit.call_tree.cases` asks of a store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from consumers.canaries import canary_fields
from consumers.groups import members, worst
from consumers.history import Event, write_down
from consumers.meeting_rows import meeting_fields
from consumers.paging import cancel_pages, queue_page, told
from consumers.templates import code, public_fields
from consumers.times import to_ms
from consumers.vault import ALERTS, CASES, Rows, Values
from silenthit.call_tree.cases import Stored
from silenthit.call_tree.escalation import Case
from silenthit.call_tree.pages import Page, PageKind
from silenthit.identity.compare import Decision


@dataclass(frozen=True, slots=True)
class CaseRows:
    """The cases within one transaction; each about a group of alerts, a canary or a meeting."""

    rows: Rows

    def get(self, about: bytes) -> Stored | None:
        """Return a case, None when nobody had to hear of it."""
        row = self.rows.get(CASES, about)
        return stored(row) if row else None

    def save(self, about: bytes, version: int, case: Case, now: datetime) -> bool:
        """Write a case that had this version (0: none yet); False if it has another by now."""
        columns = {
            "version": version + 1,
            "stage": case.stage.value,
            "due_at": to_ms(case.due) if case.due else None,
            "private": case.model_dump_json().encode(),
        }
        if not version:
            self.rows.add(CASES, [(about, columns)])
        elif not self.rows.swap(CASES, about, {"version": version}, columns):
            return False
        # Whoever follows the alerts looks for what changed.
        of_group = (ALERTS.c.group_id == about) | (ALERTS.c.id == about)
        self.rows.change(ALERTS, of_group, values={"updated_at": to_ms(now)})
        return True

    def due(self, now: datetime) -> Iterable[Stored]:
        """Return the cases whose time has come."""
        return map(stored, self.rows.find(CASES, CASES.c.due_at <= to_ms(now)))

    def note(self, about: bytes, action: str, who: str, text: str, now: datetime) -> None:
        """Add to the history."""
        write_down(self.rows, about, action, Event(who=who, text=text), now)

    def queue(self, about: bytes, page: Page, now: datetime) -> None:
        """Write a page to be posted."""
        queue_page(self.rows, about, page, Decision.POSSIBLE, to_ms(now))

    def cancel(self, about: bytes, kinds: Collection[PageKind]) -> None:
        """Take back pages that nobody has begun to post."""
        cancel_pages(self.rows, about, kinds)

    def fields(self, about: bytes) -> Mapping[str, str]:
        """Return what may be shown anywhere, of the alert that weighs most or what else it is."""
        most = worst(list(members(self.rows, about)))
        if most is not None:
            return {**public_fields(most.row["id"], most.opened), "code": code(about)}
        known = canary_fields(self.rows, about) or meeting_fields(self.rows, about)
        return known or {"decision": "update", "alert_id": about.hex(), "code": code(about)}

    def told(self, about: bytes) -> tuple[str, ...]:
        """Return the channels that were told of it."""
        return tuple(name for name in told(self.rows, about) if name)


def stored(row: Values) -> Stored:
    """Read one row of CASES."""
    case = Case.model_validate_json(row["private"])
    return Stored(about=row["id"], version=row["version"], case=case)
