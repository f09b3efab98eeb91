"""Escalation: who is called when, as a pure function of protocol, case and time.

    case = open_case(route(protocol, facts), now)
    case, calls = step(protocol, case, now)      # calls to make now
    due = case.due                               # when to step again, None: never

A case climbs from level to level, each with its time to answer, to the last resort, which is called
a stated number of times. A claim stops it at once; a release begins it again. Quiet hours and
maintenance windows delay a call and never drop one. However late `step` is called, it makes the
calls of one level and no more: time to answer counts from the call, not from when it was due.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict

from silenthit.call_tree.conditions import within
from silenthit.call_tree.protocol import Level, Protocol, Route
from silenthit.call_tree.schedule import on_duty


class Stage(StrEnum):
    """Where a case is."""

    CLIMBING = "climbing"
    OWNED = "owned"
    LAST_RESORT = "last_resort"  # everybody was called, as often as the protocol says
    CLOSED = "closed"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Case(_Frozen):
    """An alert or tip on its way up the tree. It keeps its route, whatever the protocol becomes."""

    route: tuple[str, ...]
    levels: tuple[Level, ...]
    may_wait: bool
    stage: Stage = Stage.CLIMBING
    level: int = 0  # the next to be called; past the last one: the last resort
    resorts: int = 0  # how often the last resort was called
    owner: str = ""
    due: AwareDatetime | None = None  # when to step again
    called: tuple[str, ...] = ()  # everybody who has heard of it, in order


class Call(_Frozen):
    """Somebody to be called now."""

    person: str
    why: str  # "level 2", "last resort 1", "reminder"


def open_case(route: Route, now: datetime) -> Case:
    """Begin at the first level, now."""
    return Case(route=route.path, levels=route.levels, may_wait=route.may_wait, due=now)


def step(protocol: Protocol, case: Case, now: datetime) -> tuple[Case, tuple[Call, ...]]:
    """Return the case after this moment, and the calls that have to be made in it.

    Nothing happens before `case.due`, nor to a case that is owned (but for a reminder) or closed.
    """
    if case.due is None or now < case.due:
        return case, ()
    if case.stage is Stage.OWNED:
        return _remind(protocol, case, now)
    later = _allowed(protocol, now, may_wait=case.may_wait)
    if later > now:
        return case.model_copy(update={"due": later}), ()
    while case.level < len(case.levels):
        level = case.levels[case.level]
        people = resolve(protocol, level.call, now)
        case = case.model_copy(update={"level": case.level + 1})
        if people:
            return _called(case, people, f"level {case.level}", now + level.within)
    return _last_resort(protocol, case, now)


def _last_resort(protocol: Protocol, case: Case, now: datetime) -> tuple[Case, tuple[Call, ...]]:
    resort, number = protocol.last_resort, case.resorts + 1
    more = number < resort.times
    stage = Stage.CLIMBING if more else Stage.LAST_RESORT
    case = case.model_copy(update={"resorts": number, "stage": stage})
    people = resolve(protocol, resort.call, now)
    return _called(case, people, f"last resort {number}", now + resort.every if more else None)


def _called(
    case: Case, people: Sequence[str], why: str, due: datetime | None
) -> tuple[Case, tuple[Call, ...]]:
    heard = tuple(dict.fromkeys((*case.called, *people)))
    calls = tuple(Call(person=person, why=why) for person in people)
    return case.model_copy(update={"called": heard, "due": due}), calls


def _remind(protocol: Protocol, case: Case, now: datetime) -> tuple[Case, tuple[Call, ...]]:
    """A snooze ran out: tell the owner; without an answer in time it climbs again."""
    answer = case.levels[0].within if case.levels else protocol.last_resort.every
    again = released(case, now + answer)
    calls = (Call(person=case.owner, why="reminder"),) if case.owner in protocol.people else ()
    return again, calls


def claimed(case: Case, who: str) -> Case:
    """Somebody answers for it: nobody is called any more."""
    return case.model_copy(update={"stage": Stage.OWNED, "owner": who, "due": None})


def released(case: Case, now: datetime) -> Case:
    """Nobody answers for it any more: it begins again at the first level."""
    fresh = {"stage": Stage.CLIMBING, "owner": "", "due": now, "level": 0, "resorts": 0}
    return case.model_copy(update=fresh)


def snoozed(case: Case, until: datetime) -> Case:
    """The owner is reminded then."""
    return case.model_copy(update={"due": until})


def closed(case: Case) -> Case:
    """It is over."""
    return case.model_copy(update={"stage": Stage.CLOSED, "due": None})


def resolve(protocol: Protocol, names: Sequence[str], now: datetime) -> tuple[str, ...]:
    """Return the people behind names of people, groups and schedules, each once, in order."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name in protocol.people:
            found[name] = None
        elif name in protocol.schedules:
            person = on_duty(protocol.schedules[name], now)
            if person is not None:
                found[person] = None
        elif name in protocol.groups and name not in seen:
            waiting[:0] = protocol.groups[name]
        seen.add(name)
    return tuple(found)


def _allowed(protocol: Protocol, now: datetime, *, may_wait: bool) -> datetime:
    """Return when a call that is due now may be made."""
    moment = now
    while True:
        later = max(
            (w.end for w in protocol.maintenance if w.start <= moment < w.end), default=None
        )
        if later is None and may_wait and protocol.quiet_hours is not None:
            later = _end_of_quiet(protocol.quiet_hours, protocol.timezone, moment)
        if later is None:
            return moment
        moment = later


def _end_of_quiet(span: tuple[time, time], timezone: str, moment: datetime) -> datetime | None:
    """Return when the quiet hours that are now end, None outside them."""
    zone = ZoneInfo(timezone)
    local = moment.astimezone(zone)
    if not within(local.time().replace(tzinfo=None), span):
        return None
    ends = [
        datetime.combine(day, span[1].replace(fold=fold), zone).astimezone(UTC)
        for day in (local.date(), local.date() + timedelta(days=1))
        for fold in (0, 1)  # the night in which summer time ends has some times twice
    ]
    return min(end for end in ends if end > moment)
