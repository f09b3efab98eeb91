"""Cases: who answers for an alert or a tip, how far it has climbed, and all that was done to it.

    cases = Cases(store, protocol, now)      # within one transaction of the store
    cases.hear(about, facts)
    cases.claim(about, "reyes")

Every change is one transaction: the case, its event, and the pages that follow from it. `about` is
the 16-byte id of whatever the case is about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol as Interface

from silenthit.call_tree.conditions import Facts
from silenthit.call_tree.escalation import (
    Call,
    Case,
    Stage,
    claimed,
    closed,
    open_case,
    released,
    snoozed,
    step,
)
from silenthit.call_tree.pages import Page, PageKind
from silenthit.call_tree.protocol import Protocol, Route, route
from silenthit.errors import InputError, RefusedError

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A case as it lies in the store; `version` rises with each change."""

    about: bytes
    version: int
    case: Case


class CaseStore(Interface):
    """Cases within one transaction, with their history and their pages."""

    def get(self, about: bytes) -> Stored | None:
        """Return a case, None when nobody had to hear of it."""
        ...

    def save(self, about: bytes, version: int, case: Case, now: datetime) -> bool:
        """Write a case that had this version (0: none yet); False if it has another by now."""
        ...

    def due(self, now: datetime) -> Iterable[Stored]:
        """Return the cases whose `due` has come."""
        ...

    def note(self, about: bytes, action: str, who: str, text: str, now: datetime) -> None:
        """Add to the history."""
        ...

    def queue(self, about: bytes, page: Page, now: datetime) -> None:
        """Write a page to be posted; its fields come from `fields`."""
        ...

    def cancel(self, about: bytes, kinds: Collection[PageKind]) -> None:
        """Take back the pages of these kinds: those nobody has begun to post, calls in any case."""
        ...

    def fields(self, about: bytes) -> Mapping[str, str]:
        """Return what may be shown anywhere of what the case is about."""
        ...

    def told(self, about: bytes) -> tuple[str, ...]:
        """Return the channels that were told of it beside people."""
        ...


_NONE = Case(route=(), levels=(), may_wait=False)


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases within one transaction, at one moment."""

    store: CaseStore
    protocol: Protocol | None
    now: datetime
    word: str = "alert"  # what a case is about, in messages
    command: str = "silenthit alerts"

    @property
    def _a(self) -> str:
        return f"{'an' if self.word[0] in 'aeiou' else 'a'} {self.word}"

    def hear(self, about: bytes, facts: Facts) -> None:
        """Open a case for what people have to hear of, or open it again.

        A case that climbs goes on climbing; one that is owned stays its owner's, who is told.
        """
        way = route(self.protocol, facts) if self.protocol is not None else None
        self.open(about, way, "it has become more certain")

    def open(self, about: bytes, way: Route | None, news: str) -> None:
        """Open a case on a given route; whoever owns it already is told the news."""
        known = self._known(about)
        if known.version and known.case.stage is Stage.CLIMBING:
            return
        if known.version and known.case.stage is Stage.OWNED:
            self._tell(about, (known.case.owner,), news)
            return
        case = _NONE if way is None else open_case(way, self.now)
        self._save(known, case)
        self._note(about, Action.OPENED, text=" / ".join(case.route))

    def end(self, about: bytes, why: str) -> None:
        """Close the case of what no longer stands, and tell those who have it."""
        self.store.cancel(about, (PageKind.ALERT, PageKind.CALL))
        known = self._known(about)
        if not known.version or known.case.stage is Stage.CLOSED:
            return
        self._save(known, closed(known.case))
        self._note(about, Action.WITHDRAWN, text=why)
        self._tell(about, _others(known.case, ""), why)

    def escalate(self) -> int:
        """Make the calls that are due; return how many. Of two processes only one makes each."""
        if self.protocol is None:
            return 0
        made = 0
        for found in self.store.due(self.now):
            case, calls = step(self.protocol, found.case, self.now)
            if self.store.save(found.about, found.version, case, self.now):
                self._call(found.about, calls)
                made += len(calls)
        return made

    def _call(self, about: bytes, calls: Iterable[Call]) -> None:
        for call in calls:
            self._note(about, Action.CALLED, call.person, call.why)
            self._page(about, call.person, PageKind.CALL, call.why)

    def claim(self, about: bytes, who: str) -> None:
        """Answer for it. Raises RefusedError when somebody else does, or it is closed."""
        known = self._open_case(about)
        case = known.case
        if case.stage is Stage.OWNED and case.owner != who:
            raise RefusedError(
                f"expected {self._a} that nobody answers for, got one that {case.owner} does; ask "
                "for its release"
            )
        if case.stage is not Stage.OWNED or case.due is not None:
            self._change(known, claimed(case, who), Action.CLAIMED, who)

    def release(self, about: bytes, who: str, text: str) -> None:
        """Answer for it no more: it climbs again. Raises RefusedError unless it is one's own."""
        known = self._own_case(about, who)
        again = released(known.case, self.now)
        if self.protocol is None:
            again = again.model_copy(update={"due": None})
        self._change(known, again, Action.RELEASED, who, text)

    def close(self, about: bytes, who: str, text: str) -> None:
        """Be done with it. Raises RefusedError unless it is one's own."""
        known = self._own_case(about, who)
        self._change(known, closed(known.case), Action.CLOSED, who, text)

    def snooze(self, about: bytes, who: str, wait: timedelta) -> None:
        """Be reminded later. Raises RefusedError unless it is one's own, InputError over 7 days."""
        if wait > LONGEST_SNOOZE:
            raise InputError(f"expected at most {LONGEST_SNOOZE.days}d, got longer; snooze again")
        known = self._own_case(about, who)
        self._save(known, snoozed(known.case, self.now + wait))
        self._note(about, Action.SNOOZED, who, f"for {wait}")
        self._tell(about, _others(known.case, who), f"snoozed by {who} for {wait}")

    def note(self, about: bytes, who: str, text: str) -> None:
        """Write something down for everybody who works on it."""
        self._note(about, Action.NOTED, who, text)
        self._tell(about, _others(self._known(about).case, who), f"note by {who}")

    def _known(self, about: bytes) -> Stored:
        return self.store.get(about) or Stored(about=about, version=0, case=_NONE)

    def _open_case(self, about: bytes) -> Stored:
        known = self._known(about)
        if known.case.stage is Stage.CLOSED:
            raise RefusedError(
                f"expected an open {self.word}, got a closed one; see `{self.command} show`"
            )
        return known

    def _own_case(self, about: bytes, who: str) -> Stored:
        known = self._open_case(about)
        if known.case.stage is not Stage.OWNED or known.case.owner != who:
            raise RefusedError(
                f"expected {self._a} that {who} answers for, got another's or nobody's; claim it "
                f"first with `{self.command} claim`"
            )
        return known

    def _change(self, before: Stored, case: Case, action: Action, who: str, text: str = "") -> None:
        about = before.about
        self.store.cancel(about, (PageKind.CALL,))
        self._save(before, case)
        self._note(about, action, who, text)
        self._tell(about, _others(case, who), f"{action.value} by {who}")

    def _save(self, before: Stored, case: Case) -> None:
        if not self.store.save(before.about, before.version, case, self.now):
            raise RefusedError(
                f"expected {self._a} that stands as it was, got one that somebody changed at this "
                f"moment; look again with `{self.command} show`"
            )

    def _note(self, about: bytes, action: Action, who: str = "", text: str = "") -> None:
        self.store.note(about, action.value, who, text, self.now)

    def _tell(self, about: bytes, people: Iterable[str], why: str) -> None:
        """Tell those who have it, and the channels that were told of it."""
        for person in people:
            self._page(about, person, PageKind.NOTICE, why)
        channels = self.store.told(about)
        if channels:
            fields = {**self.store.fields(about), "why": why}
            page = Page(kind=PageKind.NOTICE, fields=fields, channels=channels)
            self.store.queue(about, page, self.now)

    def _page(self, about: bytes, person: str, kind: PageKind, why: str) -> None:
        known = self.protocol.people.get(person) if self.protocol else None
        if known is not None:
            page = Page(
                kind=kind,
                fields={**self.store.fields(about), "why": why},
                channels=known.channels,
                first_is_enough=True,
                person=person,
            )
            self.store.queue(about, page, self.now)


def _others(case: Case, who: str) -> list[str]:
    """Return everybody else who has heard of it, and its owner."""
    heard = dict.fromkeys((*case.called, case.owner))
    return [person for person in heard if person not in (who, "")]
