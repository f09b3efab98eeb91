from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from silenthit.call_tree.check import Weight, check_protocol
from silenthit.call_tree.conditions import holds, parse_conditions
from silenthit.call_tree.escalation import (
    Stage,
    claimed,
    closed,
    open_case,
    released,
    snoozed,
    step,
)
from silenthit.call_tree.explain import asked, timeline
from silenthit.call_tree.protocol import Protocol, load_protocol, parse_protocol, route
from silenthit.call_tree.schedule import gaps, handover, on_duty
from silenthit.errors import InputError

NEW_YORK = ZoneInfo("America/New_York")
NOON = datetime(2026, 6, 1, 12, tzinfo=NEW_YORK)
CHANNELS = ("desk", "sms")


def protocol(**changed: Any) -> Protocol:
    content = {
        "timezone": "America/New_York",
        "people": {
            "reyes": {"channels": ["sms", "desk"]},
            "okafor": {"channels": ["sms"]},
            "duty": {"channels": ["desk"]},
        },
        "groups": {"squad": ["reyes", "okafor"]},
        "schedules": {
            "night": {
                "timezone": "America/New_York",
                "start": "2026-01-05T08:00",
                "shift": "12h",
                "rotation": ["reyes", "okafor"],
            }
        },
        "branches": [
            {
                "name": "minors",
                "when": {"minor": True},
                "may_wait": False,
                "levels": [
                    {"call": ["night"], "within": "10m"},
                    {"call": ["squad"], "within": "20m"},
                ],
            },
            {"name": "rest", "levels": [{"call": ["reyes"], "within": "1h"}]},
        ],
        "last_resort": {"call": ["duty"], "every": "30m", "times": 2},
        "quiet_hours": "22:00-06:00",
        **changed,
    }
    return parse_protocol(content)


def calls_of(of: Protocol, facts: dict[str, Any], now: datetime) -> list[tuple[str, str]]:
    return [
        (f"{moment.at.astimezone(NEW_YORK):%d %H:%M}", call.person)
        for moment in timeline(of, facts, now)
        for call in moment.calls
    ]


def test_the_first_branch_that_fits_is_taken() -> None:
    assert route(protocol(), {"minor": True}).name == "minors"
    assert route(protocol(), {"minor": False}).name == "rest"
    assert route(protocol(branches=[]), {}).name == "last resort"


def test_a_finer_branch_goes_before_its_parents_own_levels() -> None:
    level = [{"call": ["reyes"], "within": "5m"}]
    finer = {"name": "high", "when": {"score": {"at_least": 0.9}}, "levels": level}
    parent = {"name": "hits", "when": {"decision": "hit"}, "branches": [finer], "levels": level}
    of = protocol(branches=[parent])
    assert route(of, {"decision": "hit", "score": 0.95}).path == ("hits", "high")
    assert route(of, {"decision": "hit", "score": 0.5}).path == ("hits",)
    assert route(of, {"decision": "possible", "score": 0.95}).path == ()


@pytest.mark.parametrize(
    ("when", "facts", "expected"),
    [
        ({"kind": "arrest"}, {"kind": "arrest"}, True),
        ({"kind": ["arrest", "booking"]}, {"kind": "booking"}, True),
        ({"kind": {"none_of": ["tip"]}}, {"kind": "tip"}, False),
        ({"score": {"at_least": 0.5, "below": 0.9}}, {"score": 0.9}, False),
        ({"score": {"at_least": 0.5}}, {}, False),
        ({"indicators": {"all_of": ["minor", "advertised"]}}, {"indicators": ("minor",)}, False),
        ({"indicators": ["minor", "advertised"]}, {"indicators": ("minor",)}, True),
        ({"label": {"like": "blue *"}}, {"label": "Blue Heron 1"}, True),
        ({"time": {"between": "22:00-06:00"}}, {"time": time(23)}, True),
        ({"time": {"between": "22:00-06:00"}}, {"time": time(6)}, False),
        ({"weekday": ["sat", "sun"]}, {"weekday": "sun"}, True),
        ({"minor": False}, {"minor": False}, True),
    ],
)
def test_conditions(when: dict[str, Any], facts: dict[str, Any], expected: bool) -> None:
    assert holds(parse_conditions(when), facts) is expected


@pytest.mark.parametrize(
    "when",
    [
        {"colour": "red"},
        {"score": "high"},
        {"minor": "yes"},
        {"time": {"between": "25:00-06:00"}},
        {"kind": {}},
        {"kind": {"above": 3}},
        {"score": {"like": "9*"}},
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(when: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        parse_conditions(when)


def test_an_alert_climbs_from_level_to_level_to_the_last_resort() -> None:
    assert calls_of(protocol(), {"minor": True}, NOON) == [
        ("01 12:00", "reyes"),
        ("01 12:10", "reyes"),
        ("01 12:10", "okafor"),
        ("01 12:30", "duty"),
        ("01 13:00", "duty"),
    ]


def test_quiet_hours_delay_what_may_wait_and_nothing_else() -> None:
    night = NOON.replace(hour=23)
    assert calls_of(protocol(), {"minor": False}, night)[0] == ("02 06:00", "reyes")
    assert calls_of(protocol(), {"minor": True}, night)[0][0] == "01 23:00"


def test_maintenance_delays_everything_and_drops_nothing() -> None:
    window = {"start": "2026-06-01T16:05:00Z", "end": "2026-06-01T20:00:00Z"}
    assert calls_of(protocol(maintenance=[window]), {"minor": True}, NOON) == [
        ("01 12:00", "reyes"),
        ("01 16:00", "reyes"),
        ("01 16:00", "okafor"),
        ("01 16:20", "duty"),
        ("01 16:50", "duty"),
    ]


def test_a_level_with_nobody_on_duty_is_climbed_past_at_once() -> None:
    schedule = protocol().schedules["night"].model_dump()
    later = {**schedule, "start": "2027-01-01T08:00", "rotation": list(schedule["rotation"])}
    of = protocol(schedules={"night": later})
    assert calls_of(of, {"minor": True}, NOON)[0] == ("01 12:00", "reyes")
    assert calls_of(of, {"minor": True}, NOON)[1] == ("01 12:00", "okafor")


def test_a_claim_stops_it_a_release_begins_it_again_and_a_close_ends_it() -> None:
    of = protocol()
    case, calls = step(of, open_case(route(of, {"minor": True}), NOON), NOON)
    assert [call.person for call in calls] == ["reyes"]
    case = claimed(case, "reyes")
    assert step(of, case, NOON + timedelta(days=300)) == (case, ())
    later = NOON + timedelta(hours=1)
    case, calls = step(of, released(case, later), later)
    assert [call.why for call in calls] == ["level 1"]
    assert step(of, closed(case), later + timedelta(days=300))[1] == ()


def test_a_snooze_reminds_its_owner_and_climbs_without_an_answer() -> None:
    of = protocol()
    case, _ = step(of, open_case(route(of, {"minor": True}), NOON), NOON)
    until = NOON + timedelta(hours=3)
    case = snoozed(claimed(case, "reyes"), until)
    assert step(of, case, until - timedelta(seconds=1))[1] == ()
    case, calls = step(of, case, until)
    assert [(call.person, call.why) for call in calls] == [("reyes", "reminder")]
    case, calls = step(of, case, until + timedelta(minutes=10))
    assert [call.why for call in calls] == ["level 1"]
    assert case.stage is Stage.CLIMBING


def test_a_step_that_comes_late_makes_the_calls_of_one_level() -> None:
    of = protocol()
    case, _ = step(of, open_case(route(of, {"minor": True}), NOON), NOON)
    late = NOON + timedelta(days=40)
    case, calls = step(of, case, late)
    assert {call.why for call in calls} == {"level 2"}
    assert case.due == late + timedelta(minutes=20)


def test_a_shift_begins_at_the_same_wall_clock_time_all_year() -> None:
    schedule = protocol().schedules["night"]
    for number in range(0, 730, 7):
        local = handover(schedule, number).astimezone(NEW_YORK)
        assert (local.hour, local.minute) in {(8, 0), (20, 0)}


@pytest.mark.parametrize("day", ["2026-03-08", "2026-11-01"])
def test_duty_is_never_in_doubt_when_the_clocks_change(day: str) -> None:
    of = protocol(
        schedules={
            "night": {
                "timezone": "America/New_York",
                "start": "2026-01-05T01:30",
                "shift": "4h",
                "rotation": ["reyes", "okafor"],
            }
        }
    )
    schedule = of.schedules["night"]
    moment = datetime.fromisoformat(f"{day}T00:00-05:00")
    changes = []
    before = on_duty(schedule, moment)
    for minutes in range(24 * 60):
        now = moment + timedelta(minutes=minutes)
        if on_duty(schedule, now) != before:
            before = on_duty(schedule, now)
            changes.append(f"{now.astimezone(NEW_YORK):%H:%M}")
    assert [change for change in changes if change[3:] == "30"] == changes
    assert len(changes) == 6


def test_quiet_hours_end_once_in_the_night_of_two_one_oclocks() -> None:
    of = protocol(quiet_hours="22:00-01:30")
    second = datetime(2026, 11, 1, 6, 15, tzinfo=UTC)  # 01:15 for the second time
    (first, *_) = timeline(of, {"minor": False}, second)
    assert first.waits_until == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


def test_an_override_goes_before_the_rotation() -> None:
    schedule = protocol().schedules["night"].model_dump()
    override = {"start": NOON, "end": NOON + timedelta(hours=2), "person": "duty"}
    of = protocol(schedules={"night": {**schedule, "overrides": [override]}})
    assert on_duty(of.schedules["night"], NOON) == "duty"
    assert on_duty(of.schedules["night"], NOON + timedelta(hours=2)) != "duty"


def test_a_schedule_of_working_hours_has_gaps_and_the_check_says_so() -> None:
    schedule = protocol().schedules["night"].model_dump()
    office = {**schedule, "hours": "08:00-18:00", "days": ["mon", "tue", "wed", "thu", "fri"]}
    of = protocol(schedules={"night": office})
    (first, *_) = gaps(of.schedules["night"], NOON, NOON + timedelta(days=1))
    assert first.start.astimezone(NEW_YORK).hour == 18
    assert first.end - first.start == timedelta(hours=14)
    found = check_protocol(of, CHANNELS, NOON)
    assert any("nobody from" in each.text for each in found)
    assert all(each.weight is Weight.WARNING for each in found)


def test_a_sound_protocol_has_nothing_to_find() -> None:
    assert check_protocol(protocol(), CHANNELS, NOON) == ()


def _branch(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "levels": [{"call": ["reyes"], "within": "5m"}], **more}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"branches": [_branch("all"), _branch("late", when={"minor": True})]}, "late is never"),
        (
            {
                "branches": [
                    _branch("high", when={"score": {"at_least": 0.5}}),
                    _branch("low", when={"score": {"below": 0.5}}),
                    _branch("none", when={"score": {"at_least": 0.9}}),
                ]
            },
            "none is never",
        ),
        (
            {
                "branches": [
                    _branch("one", when={"minor": True}),
                    _branch("other", when={"minor": False}),
                    _branch("neither"),
                ]
            },
            "neither is never",
        ),
        ({"branches": [_branch("typo", when={"kind": "arest"})]}, "arest, which does not exist"),
        ({"groups": {"squad": ["reyes", "nobody"]}}, "nobody, which is no person"),
        ({"groups": {"squad": ["others"], "others": ["squad"]}}, "contains itself"),
        ({"people": {**{n: {"channels": ["sms"]} for n in ("okafor", "duty")}, "reyes": {}}},
         "reyes has no channel"),
        ({"people": {n: {"channels": ["pigeon"]} for n in ("reyes", "okafor", "duty")}},
         "the channel pigeon"),
        ({"last_resort": {"call": ["night"]}}, "last resort leads to the schedule"),
        ({"groups": {"squad": ["reyes"], "reyes": ["duty"]}}, "stands for two"),
    ],
)  # fmt: skip
def test_the_check_finds(changed: dict[str, Any], said: str) -> None:
    found = check_protocol(protocol(**changed), CHANNELS, NOON)
    assert any(said in each.text and each.weight is Weight.ERROR for each in found), found


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"timezone": "Atlantis/Capital"}, "timezone"),
        ({"last_resort": {"call": []}}, "last_resort.call"),
        ({"quiet_hours": "late"}, "quiet_hours"),
        ({"branches": [{"name": "x"}]}, "levels or branches"),
        ({"branches": [_branch("x", colour="red")]}, "colour"),
        ({"branches": [{"name": "x", "levels": [{"call": ["reyes"], "within": "soon"}]}]}, "15m"),
    ],
)
def test_a_broken_protocol_names_the_place(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        protocol(**changed)


def test_a_file_that_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "protocol.yaml"
    path.write_text("people:\n  reyes: [\n", "utf-8")
    with pytest.raises(InputError, match=r"protocol\.yaml.*line 3"):
        load_protocol(path)


def test_explain_says_which_branch_failed_on_what() -> None:
    found = [
        (each.path[-1], each.fits, each.failed) for each in asked(protocol(), {"minor": False})
    ]
    assert found == [("minors", False, "minor"), ("rest", True, "")]
