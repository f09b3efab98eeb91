"""On-call schedules: who has duty at a given moment, right over changes of daylight saving.

Handovers are at wall-clock times of the schedule's zone: a shift that begins at 08:00 does so all
year. A wall-clock time that comes twice counts the first time; one that is skipped counts as the
moment at which it would have come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from silenthit.call_tree.conditions import WEEKDAYS
from silenthit.call_tree.protocol import Schedule

_LOOK_AHEAD = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a schedule has nobody; aware, UTC."""

    start: datetime
    end: datetime


def on_duty(schedule: Schedule, moment: datetime) -> str | None:
    """Return who has duty, None in a gap. `moment` is aware."""
    for override in reversed(schedule.overrides):
        if override.start <= moment < override.end:
            return override.person
    zone = ZoneInfo(schedule.timezone)
    if not _works(schedule, moment.astimezone(zone)):
        return None
    number = shift_number(schedule, moment)
    return schedule.rotation[number % len(schedule.rotation)] if number >= 0 else None


def shift_number(schedule: Schedule, moment: datetime) -> int:
    """Return the number of the shift that is running, negative before the first."""
    zone = ZoneInfo(schedule.timezone)
    local = moment.astimezone(zone).replace(tzinfo=None)
    number = (local - schedule.start) // schedule.shift
    while handover(schedule, number + 1) <= moment:
        number += 1
    while handover(schedule, number) > moment:
        number -= 1
    return number


def handover(schedule: Schedule, number: int) -> datetime:
    """Return when shift `number` begins, UTC."""
    wall = schedule.start + number * schedule.shift
    return wall.replace(tzinfo=ZoneInfo(schedule.timezone)).astimezone(UTC)


def _works(schedule: Schedule, local: datetime) -> bool:
    if schedule.days and WEEKDAYS[local.weekday()] not in schedule.days:
        return False
    if schedule.hours is None:
        return True
    start, end = schedule.hours
    moment = local.time().replace(tzinfo=None)
    return start <= moment < end if start < end else moment >= start or moment < end


def gaps(schedule: Schedule, start: datetime, end: datetime) -> Iterator[Gap]:
    """Yield the times without anybody, to a quarter of an hour."""
    moment, since = start.astimezone(UTC), None
    while moment < end:
        if on_duty(schedule, moment) is None:
            since = since or moment
        elif since is not None:
            yield Gap(since, moment)
            since = None
        moment += _LOOK_AHEAD
    if since is not None:
        yield Gap(since, end)
