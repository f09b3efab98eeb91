"""Cases: who answers for an alert, how far it has climbed, and everything that was done to it.

Every change is one transaction: the case, its event, and the pages that follow from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from consumers.history import Event, write_down
from consumers.opened_alerts import OpenedAlert, read_opened
from consumers.paging import Page, PageKind, PageState, cancel_pages, queue_page
from consumers.registrations import to_ms
from consumers.templates import public_fields
from consumers.vault import ALERTS, CASES, PAGES, Rows, Values
from silenthit.call_tree.conditions import WEEKDAYS, Facts
from silenthit.call_tree.escalation import (
    Case,
    Stage,
    claimed,
    closed,
    open_case,
    released,
    snoozed,
    step,
)
from silenthit.call_tree.protocol import Protocol, route
from silenthit.errors import InputError, RefusedError
from silenthit.identity.compare import Decision

LONGEST_SNOOZE = timedelta(days=7)


class Action(StrEnum):
    """What may be done to a case."""

    OPENED = "opened"
    CALLED = "called"
    CLAIMED = "claimed"
    RELEASED = "released"
    SNOOZED = "snoozed"
    NOTED = "noted"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


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
        "agency": opened.agency,
        "ori": ori,
        "county": ori[:5],
        "place": common.place if common else "",
        "label": opened.label,
        "case_number": case_number,
        "weekday": WEEKDAYS[local.weekday()],
        "time": local.time().replace(tzinfo=None),
    }


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases within one transaction, at one moment."""

    rows: Rows
    protocol: Protocol | None
    now: datetime

    def hear(self, alert_id: bytes, facts: Facts) -> None:
        """Open a case for an alert that people have to hear of, or open it again.

        A case that climbs goes on climbing; one that is owned stays its owner's, who is told.
        """
        known = case_of(self.rows, alert_id)
        if known is not None and known.stage is Stage.CLIMBING:
            return
        if known is not None and known.stage is Stage.OWNED:
            self._tell(alert_id, (known.owner,), "it has become more certain")
            return
        case = Case(route=(), levels=(), may_wait=False)
        if self.protocol is not None:
            case = open_case(route(self.protocol, facts), self.now)
        self._save(alert_id, case)
        self._note(alert_id, Action.OPENED, text=" / ".join(case.route))

    def end(self, alert_id: bytes, why: str) -> None:
        """Close the case of an alert that no longer stands, and tell those who have it."""
        cancel_pages(self.rows, alert_id, PageKind.ALERT, PageKind.CALL)
        case = case_of(self.rows, alert_id)
        if case is None or case.stage is Stage.CLOSED:
            return
        self._save(alert_id, closed(case))
        self._note(alert_id, Action.WITHDRAWN, text=why)
        self._tell(alert_id, case.called, why)

    def escalate(self) -> int:
        """Make the calls that are due; return how many. Of two processes only one makes each."""
        if self.protocol is None:
            return 0
        made = 0
        for row in self.rows.find(CASES, CASES.c.due_at <= to_ms(self.now)):
            before = Case.model_validate_json(row["private"])
            case, calls = step(self.protocol, before, self.now)
            seen = {"version": row["version"]}
            if self.rows.swap(CASES, row["id"], seen, _columns(case, row)):
                for call in calls:
                    self._note(row["id"], Action.CALLED, call.person, call.why)
                    self._page(row["id"], call.person, PageKind.CALL, call.why)
                made += len(calls)
        return made

    def claim(self, alert_id: bytes, who: str) -> None:
        """Answer for an alert. Raises RefusedError when somebody else does, or it is closed."""
        case = self._open_case(alert_id)
        if case.stage is Stage.OWNED and case.owner != who:
            raise RefusedError(
                f"expected an alert that nobody answers for, got one that {case.owner} does; ask "
                "for its release"
            )
        self._change(alert_id, claimed(case, who), Action.CLAIMED, who)

    def release(self, alert_id: bytes, who: str, text: str) -> None:
        """Answer for it no more: it climbs again. Raises RefusedError unless it is one's own."""
        case = released(self._own_case(alert_id, who), self.now)
        if self.protocol is None:
            case = case.model_copy(update={"due": None})
        self._change(alert_id, case, Action.RELEASED, who, text)

    def close(self, alert_id: bytes, who: str, text: str) -> None:
        """Be done with it. Raises RefusedError unless it is one's own."""
        self._change(alert_id, closed(self._own_case(alert_id, who)), Action.CLOSED, who, text)

    def snooze(self, alert_id: bytes, who: str, wait: timedelta) -> None:
        """Be reminded later. Raises RefusedError unless it is one's own, InputError over 7 days."""
        if wait > LONGEST_SNOOZE:
            raise InputError(f"expected at most {LONGEST_SNOOZE.days}d, got longer; snooze again")
        self._save(alert_id, snoozed(self._own_case(alert_id, who), self.now + wait))
        self._note(alert_id, Action.SNOOZED, who, f"for {wait}")

    def note(self, alert_id: bytes, who: str, text: str) -> None:
        """Write something down for everybody who works on it."""
        self._note(alert_id, Action.NOTED, who, text)

    def _open_case(self, alert_id: bytes) -> Case:
        case = case_of(self.rows, alert_id) or Case(route=(), levels=(), may_wait=False)
        if case.stage is Stage.CLOSED:
            raise RefusedError("expected an open alert, got a closed one; see `alerts show`")
        return case

    def _own_case(self, alert_id: bytes, who: str) -> Case:
        case = self._open_case(alert_id)
        if case.stage is not Stage.OWNED or case.owner != who:
            raise RefusedError(
                f"expected an alert that {who} answers for, got another's or nobody's; claim it "
                "first with `silenthit alerts claim`"
            )
        return case

    def _change(
        self, alert_id: bytes, case: Case, action: Action, who: str, text: str = ""
    ) -> None:
        cancel_pages(self.rows, alert_id, PageKind.CALL)
        self._save(alert_id, case)
        self._note(alert_id, action, who, text)
        others = [person for person in case.called if person != who]
        self._tell(alert_id, others, f"{action.value} by {who}")

    def _save(self, alert_id: bytes, case: Case) -> None:
        self.rows.put(CASES, alert_id, _columns(case, self.rows.get(CASES, alert_id)))
        touched = {"updated_at": to_ms(self.now)}
        self.rows.change(ALERTS, ALERTS.c.id == alert_id, values=touched)

    def _note(self, alert_id: bytes, action: Action, who: str = "", text: str = "") -> None:
        write_down(self.rows, alert_id, action.value, Event(who=who, text=text), self.now)

    def _tell(self, alert_id: bytes, people: Sequence[str], why: str) -> None:
        """Tell those who have it, and the watch's channels if they were told of it."""
        for person in people:
            self._page(alert_id, person, PageKind.NOTICE, why)
        posted = (
            PAGES.c.alert_id == alert_id,
            PAGES.c.kind == PageKind.ALERT,
            PAGES.c.state != PageState.CANCELLED,
        )
        pages = [Page.model_validate_json(r["private"]) for r in self.rows.find(PAGES, *posted)]
        channels = tuple(dict.fromkeys(channel for page in pages for channel in page.channels))
        if channels:
            self._queue(alert_id, PageKind.NOTICE, why, channels, first_is_enough=False)

    def _page(self, alert_id: bytes, person: str, kind: PageKind, why: str) -> None:
        known = self.protocol.people.get(person) if self.protocol else None
        if known is not None:
            self._queue(alert_id, kind, why, known.channels, first_is_enough=True)

    def _queue(
        self,
        alert_id: bytes,
        kind: PageKind,
        why: str,
        channels: tuple[str, ...],
        *,
        first_is_enough: bool,
    ) -> None:
        row = self.rows.get(ALERTS, alert_id)
        opened = read_opened(row) if row else None
        fields = {"decision": "update", "alert_id": alert_id.hex(), "code": alert_id.hex()[:8]}
        if opened is not None:
            fields = public_fields(alert_id, opened)
        page = Page(
            kind=kind,
            fields={**fields, "why": why},
            channels=channels,
            first_is_enough=first_is_enough,
        )
        decision = Decision((row and row["decision"]) or Decision.POSSIBLE)
        queue_page(self.rows, alert_id, page, decision, to_ms(self.now))


def due(rows: Rows, now: datetime) -> bool:
    """Whether a call is due."""
    return rows.count(CASES, CASES.c.due_at <= to_ms(now)) > 0


def case_of(rows: Rows, alert_id: bytes) -> Case | None:
    """Return the case of an alert, none if nobody had to hear of it."""
    row = rows.get(CASES, alert_id)
    return Case.model_validate_json(row["private"]) if row else None


def _columns(case: Case, before: Values | None) -> Values:
    return {
        "version": before["version"] + 1 if before else 1,
        "stage": case.stage.value,
        "due_at": to_ms(case.due) if case.due else None,
        "private": case.model_dump_json().encode(),
    }
