"""A protocol: the call tree that a partner or an agency writes down in YAML (docs/protocol.md).

protocol = load_protocol(Path("protocol.yaml"))
route(protocol, facts).name
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic import model_validator as after

from silenthit.call_tree.conditions import (
    WEEKDAYS,
    Conditions,
    Facts,
    holds,
    parse_conditions,
    parse_span,
)
from silenthit.call_tree.durations import Duration
from silenthit.errors import InputError

SHORTEST_SHIFT = timedelta(hours=4)  # a change of daylight saving must not overtake a handover
LONGEST_WAIT = timedelta(days=7)


def _span(value: Any) -> Any:
    try:
        return parse_span(value) if isinstance(value, str) else value
    except InputError as error:
        raise ValueError(str(error)) from None


def _zone(value: Any) -> str:
    try:
        ZoneInfo(str(value))
    except (ValueError, OSError, KeyError):
        raise ValueError("expected a time zone such as America/New_York") from None
    return str(value)


def _conditions(value: Any) -> Any:
    try:
        return parse_conditions(value) if isinstance(value, dict) else value
    except InputError as error:
        raise ValueError(str(error)) from None


Span = Annotated[tuple[time, time], BeforeValidator(_span)]
Zone = Annotated[str, BeforeValidator(_zone)]
When = Annotated[Conditions, BeforeValidator(_conditions)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Person(_Frozen):
    """Somebody who can be called; the first channel that takes the message is enough."""

    name: str = ""
    channels: tuple[str, ...] = ()


class Override(_Frozen):
    """Somebody else has duty for a while."""

    start: AwareDatetime
    end: AwareDatetime
    person: str


class Schedule(_Frozen):
    """A rotation. `start` is the wall-clock time of the first handover."""

    timezone: Zone
    start: datetime
    shift: Duration
    rotation: tuple[str, ...] = Field(min_length=1)
    overrides: tuple[Override, ...] = ()
    days: tuple[str, ...] = ()  # mon … sun; empty: every day
    hours: Span | None = None  # none: round the clock

    @after(mode="after")
    def _usable(self) -> Schedule:
        if self.start.tzinfo is not None:
            raise ValueError("expected `start` as a wall-clock time, without an offset")
        if self.shift < SHORTEST_SHIFT:
            raise ValueError("expected shifts of at least 4h")
        if not set(self.days) <= set(WEEKDAYS):
            raise ValueError(f"expected days of {', '.join(WEEKDAYS)}")
        return self


class Level(_Frozen):
    """Whom to call, and how long they have to answer before it climbs."""

    call: tuple[str, ...] = Field(min_length=1)  # people, groups, schedules
    within: Duration

    @after(mode="after")
    def _bounded(self) -> Level:
        if self.within > LONGEST_WAIT:
            raise ValueError("expected at most 7d to answer")
        return self


class Branch(_Frozen):
    """What happens to what meets `when`; of several branches the first that fits is taken."""

    name: str
    when: When = ()
    may_wait: bool = True  # for the end of quiet hours
    levels: tuple[Level, ...] = ()
    branches: tuple[Branch, ...] = ()  # finer ones; its own levels where none of them fits

    @after(mode="after")
    def _leads_somewhere(self) -> Branch:
        if not self.levels and not self.branches:
            raise ValueError("expected levels or branches")
        return self


class LastResort(_Frozen):
    """Who is always reached; called `times` times, `every` so often, until somebody owns it."""

    call: tuple[str, ...] = Field(min_length=1)  # people and groups; no schedule: it may have gaps
    every: Duration = timedelta(minutes=30)
    times: int = Field(default=3, ge=1, le=100)


class Window(_Frozen):
    """A time in which nobody is called; what falls due in it comes at its end."""

    start: AwareDatetime
    end: AwareDatetime


class Protocol(_Frozen):
    """The whole call tree."""

    timezone: Zone
    people: dict[str, Person]
    groups: dict[str, tuple[str, ...]] = {}
    schedules: dict[str, Schedule] = {}
    branches: tuple[Branch, ...] = ()
    last_resort: LastResort
    quiet_hours: Span | None = None
    maintenance: tuple[Window, ...] = ()
    page_history: bool = False  # call people also for what an agency sends as history
    operator: tuple[Level, ...] = ()  # who is called when the way itself fails: a missed canary


@dataclass(frozen=True, slots=True)
class Route:
    """Where an alert goes: the branches passed, outermost first, and what the last one says."""

    path: tuple[str, ...]
    levels: tuple[Level, ...]
    may_wait: bool

    @property
    def name(self) -> str:
        """The path as one word."""
        return " / ".join(self.path) or "last resort"


STRAIGHT_TO_LAST_RESORT = Route((), (), may_wait=False)


def to_operator(protocol: Protocol) -> Route:
    """Return where a fault of the way goes: the operator's levels, else the last resort."""
    return Route(("operator",), protocol.operator, may_wait=True)


def load_protocol(path: Path) -> Protocol:
    """Read a protocol. Raises InputError naming the file, the place in it and the remedy."""
    import yaml  # noqa: PLC0415 most who import this module read no YAML

    try:
        return parse_protocol(yaml.safe_load(path.read_text("utf-8")))
    except OSError:
        raise InputError(f"expected a protocol in {path}, got no readable file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}" if mark else ""
        raise InputError(f"expected YAML in {path}, got something else{at}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse_protocol(content: Any) -> Protocol:
    """Check a protocol that was read. Raises InputError naming every place that is wrong."""
    try:
        return Protocol.model_validate(content)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, each['loc'])) or 'protocol'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise InputError("; ".join(faults)) from None


def route(protocol: Protocol, facts: Facts) -> Route:
    """Return where these facts lead: the first branch that fits, and within it the first again."""
    return _route(protocol.branches, facts, (), may_wait=True) or STRAIGHT_TO_LAST_RESORT


def _route(
    branches: tuple[Branch, ...], facts: Facts, path: tuple[str, ...], *, may_wait: bool
) -> Route | None:
    for branch in branches:
        if not holds(branch.when, facts):
            continue
        here, waits = (*path, branch.name), may_wait and branch.may_wait
        deeper = _route(branch.branches, facts, here, may_wait=waits)
        if deeper is not None:
            return deeper
        if branch.levels:
            return Route(here, branch.levels, waits)
    return None


def every_branch(
    branches: tuple[Branch, ...], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Branch]]:
    """Yield each branch with its path, outer ones first."""
    for branch in branches:
        here = (*path, branch.name)
        yield here, branch
        yield from every_branch(branch.branches, here)
