"""Random protocols, schedules and histories under a simulated clock: 10,000 in the slow run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from silenthit.call_tree.protocol import Protocol, parse_protocol, route
from silenthit.call_tree.schedule import handover, on_duty, shift_number

PEOPLE = ("reyes", "okafor", "lin", "duty")
ZONES = ("America/New_York", "Europe/Berlin", "UTC", "Australia/Lord_Howe", "Asia/Kolkata")
START = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.integers(0, 400 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
minutes = st.integers(1, 3 * 24 * 60).map(lambda n: f"{n}m")
spans = st.none() | st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 23)).map(
    lambda t: f"{t[0]:02}:{t[1]:02}-{t[2]:02}:{(t[1] + 30) % 60:02}"
)
schedules = st.fixed_dictionaries(
    {
        "timezone": st.sampled_from(ZONES),
        "start": st.integers(0, 2000).map(
            lambda n: (datetime(2025, 12, 1) + timedelta(minutes=15 * n)).isoformat()  # noqa: DTZ001
        ),
        "shift": st.sampled_from(["4h", "8h", "12h", "1d", "1w"]),
        "rotation": st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4),
        "days": st.lists(st.sampled_from(["mon", "tue", "sat", "sun"]), max_size=3),
        "hours": spans,
    }
)
targets = st.lists(
    st.sampled_from([*PEOPLE, "squad", "shifts"]), min_size=1, max_size=3, unique=True
)


@st.composite
def protocols(draw: st.DrawFn) -> Protocol:
    windows = [
        {"start": start, "end": start + timedelta(minutes=length)}
        for start, length in draw(st.lists(st.tuples(moments, st.integers(1, 3000)), max_size=3))
    ]
    levels = st.lists(st.fixed_dictionaries({"call": targets, "within": minutes}), max_size=4)
    content: dict[str, Any] = {
        "timezone": draw(st.sampled_from(ZONES)),
        "people": {name: {"channels": ["desk"]} for name in PEOPLE},
        "groups": {"squad": draw(st.lists(st.sampled_from(PEOPLE[:3]), max_size=3))},
        "schedules": {"shifts": draw(schedules)},
        "last_resort": {"call": ["duty"], "every": draw(minutes), "times": draw(st.integers(1, 4))},
        "quiet_hours": draw(spans),
        "maintenance": windows,
    }
    found = draw(levels)
    if found:
        branch = {"name": "one", "may_wait": draw(st.booleans()), "levels": found}
        content["branches"] = [branch]
    return parse_protocol(content)


def _until_quiet(
    protocol: Protocol, case: Case, late: timedelta = timedelta(0)
) -> tuple[Case, list[tuple[datetime, str, str]]]:
    """Step whenever it is due, the first time that much later, until nothing is due any more."""
    made: list[tuple[datetime, str, str]] = []
    for _ in range(200):
        if case.due is None:
            return case, made
        at, late = case.due + late, timedelta(0)
        case, calls = step(protocol, case, at)
        made += [(at, call.person, call.why) for call in calls]
    raise AssertionError("expected it to come to an end")


@given(protocol=protocols(), opened=moments, late=st.sampled_from([0, 0, 1, 60, 100_000]))
def check_what_nobody_claims_ends_at_the_last_resort_and_nothing_fires_again(
    protocol: Protocol, opened: datetime, late: int
) -> None:
    case = open_case(route(protocol, {}), opened)
    case, made = _until_quiet(protocol, case, timedelta(minutes=late))
    assert case.stage is Stage.LAST_RESORT
    resorts = [why for _, person, why in made if why.startswith("last resort") and person == "duty"]
    assert len(resorts) == protocol.last_resort.times
    again = step(protocol, case, opened + timedelta(days=3000))
    assert again == (case, ())
    assert len({(person, why) for _, person, why in made}) == len(made), (
        "nobody twice for one cause"
    )


@given(protocol=protocols(), opened=moments)
def check_nothing_climbs_before_or_after_its_time(protocol: Protocol, opened: datetime) -> None:
    """Each call is at its due time, or at the end of the windows that it had to wait for."""
    case = open_case(route(protocol, {}), opened)
    due: datetime | None = opened
    waited = False
    for _ in range(200):
        if case.due is None:
            break
        at, before = case.due, case
        assert step(protocol, case, at - timedelta(microseconds=1)) == (case, ())
        case, calls = step(protocol, case, at)
        if calls:
            assert at == due or waited
            reached = before.level < len(before.levels) and case.level <= len(case.levels)
            named = [call.why for call in calls]
            answer = (
                case.levels[case.level - 1].within
                if reached and named[0].startswith("level")
                else protocol.last_resort.every
            )
            due, waited = at + answer, False
            assert case.due in (due, None)
        else:
            assert case.due is not None
            assert case.due > at
            assert _blocked(protocol, before, at)
            waited = True
    assert case.due is None


def _blocked(protocol: Protocol, case: Case, at: datetime) -> bool:
    in_window = any(window.start <= at < window.end for window in protocol.maintenance)
    return in_window or (case.may_wait and protocol.quiet_hours is not None)


@given(protocol=protocols(), opened=moments)
def check_no_call_is_made_in_quiet_hours_or_a_window_and_none_waits_longer_than_those(
    protocol: Protocol, opened: datetime
) -> None:
    """By the clock on the wall of the protocol's zone, also in nights that have 23 or 25 hours."""
    case = open_case(route(protocol, {}), opened)
    waited = False
    while case.due is not None:
        at = case.due
        case, calls = step(protocol, case, at)
        assert bool(calls) != _forbidden(protocol, case, at)
        if waited and calls:
            assert _forbidden(protocol, case, at - timedelta(microseconds=1))
        waited = not calls


def _forbidden(protocol: Protocol, case: Case, at: datetime) -> bool:
    if any(window.start <= at < window.end for window in protocol.maintenance):
        return True
    if protocol.quiet_hours is None or not case.may_wait:
        return False
    start, end = protocol.quiet_hours
    wall = at.astimezone(ZoneInfo(protocol.timezone)).time().replace(tzinfo=None)
    return start <= wall < end if start < end else wall >= start or wall < end


actions = st.lists(
    st.tuples(
        st.sampled_from(["claim", "release", "close", "snooze", "wait"]),
        st.integers(0, 5000).map(lambda n: timedelta(minutes=n)),
    ),
    max_size=8,
)


@given(protocol=protocols(), opened=moments, history=actions)
def check_nobody_is_called_while_somebody_owns_it_or_after_it_is_closed(
    protocol: Protocol, opened: datetime, history: list[tuple[str, timedelta]]
) -> None:
    now, case = opened, open_case(route(protocol, {}), opened)
    for action, wait in history:
        until = now + wait
        owned = case.stage in (Stage.OWNED, Stage.CLOSED)
        while case.due is not None and case.due <= until:
            snoozing = case.stage is Stage.OWNED
            at = case.due
            case, calls = step(protocol, case, at)
            if owned:
                assert snoozing, "only a snooze that ran out may begin it again"
                assert {call.why for call in calls} <= {"reminder"}
                assert {call.person for call in calls} <= set(PEOPLE)
                owned = False
        now = until
        if case.stage is Stage.CLOSED:
            assert case.due is None
            continue
        if action == "claim":
            case = claimed(case, "reyes")
        elif action == "release":
            case = released(case, now)
        elif action == "close":
            case = closed(case)
        elif action == "snooze" and case.stage is Stage.OWNED:
            case = snoozed(case, now + timedelta(hours=2))
    end, _ = _until_quiet(protocol, case)
    assert end.stage in (Stage.OWNED, Stage.CLOSED, Stage.LAST_RESORT)
    assert (end.stage is Stage.OWNED) == bool(end.owner) or end.stage is Stage.CLOSED


@given(written=schedules, moment=moments)
def check_the_shift_that_runs_has_begun_and_the_next_has_not(
    written: dict[str, Any], moment: datetime
) -> None:
    content = {
        "timezone": "UTC",
        "people": {name: {} for name in PEOPLE},
        "schedules": {"shifts": written},
        "last_resort": {"call": ["duty"]},
    }
    schedule = parse_protocol(content).schedules["shifts"]
    number = shift_number(schedule, moment)
    assert handover(schedule, number) <= moment < handover(schedule, number + 1)
    person = on_duty(schedule, moment)
    assert person is None or person in schedule.rotation


@pytest.mark.parametrize("examples", [100, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "check",
    [
        check_what_nobody_claims_ends_at_the_last_resort_and_nothing_fires_again,
        check_nothing_climbs_before_or_after_its_time,
        check_no_call_is_made_in_quiet_hours_or_a_window_and_none_waits_longer_than_those,
        check_nobody_is_called_while_somebody_owns_it_or_after_it_is_closed,
        check_the_shift_that_runs_has_begun_and_the_next_has_not,
    ],
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_it_holds_that(check: Callable[[], None], examples: int) -> None:
    settings(max_examples=examples)(check)()
