from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from consumers.alert_list import alerts_listed, case_named
from consumers.alert_story import story
from consumers.cases import cases_in
from consumers.times import to_ms
from consumers.triage import triage as real_triage
from consumers.vault import PAGES, Values
from schemas.messages import Alert, AlertStatus
from silenthit.call_tree.escalation import Stage
from silenthit.call_tree.pages import Page, PageState
from silenthit.call_tree.protocol import parse_protocol
from silenthit.identity.compare import Decision
from tests.partner_room import NOW, NOW_MS, Room, john, record_id, watch_on

BRANCHES = [{"name": "all", "levels": [{"call": ["reyes"], "within": "1h"}]}]
PROTOCOL = {
    "timezone": "UTC",
    "people": {"reyes": {"channels": ["sms"]}},
    "branches": BRANCHES,
    "last_resort": {"call": ["reyes"]},
}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room.make(tmp_path)
    made.protocol = parse_protocol(PROTOCOL)
    return made


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[Decision]:
    """What triage will decide, one alert after the other."""
    waiting: list[Decision] = []

    def triage(*given: Any, **named: Any) -> Any:
        found = real_triage(*given, **named)
        assert found is not None
        return found.model_copy(update={"decision": waiting.pop(0)}) if waiting else found

    monkeypatch.setattr("consumers.opening.triage", triage)
    return waiting


def _pages(room: Room) -> list[Values]:
    with room.vault.read() as rows:
        return list(rows.find(PAGES, PAGES.c.state != PageState.CANCELLED))


def _posted(room: Room) -> None:
    with room.vault.write() as into:
        into.change(PAGES, PAGES.c.state == PageState.DUE, values={"state": PageState.POSTED})


def _groups(room: Room) -> set[str]:
    return {each["group"] for each in alerts_listed(room.vault)}


def _case(room: Room, alert: Alert) -> Any:
    with room.vault.read() as rows:
        found = cases_in(rows, room.protocol, NOW).store.get(
            case_named(room.vault, alert.alert_id.hex())
        )
    return found.case if found else None


def _in_case(room: Room, record: str, case: str = "26-4411", **more: Any) -> Alert:
    return room.alert(room.touch(record=record, case=case, **more), room.registrations()[0])


def test_several_records_of_one_agencys_case_page_once_and_are_shown_together(room: Room) -> None:
    room.add()
    first, second = _in_case(room, "H-1"), _in_case(room, "H-2")
    room.receive(first)
    room.receive(second)
    assert len(_groups(room)) == 1
    assert len(_pages(room)) == 1
    told = story(room.vault, second.alert_id.hex(), NOW)
    assert [each["record_number"] for each in told.group] == ["H-1"]
    assert told.others == []


def test_two_watches_on_one_subject_page_once_on_all_their_channels(room: Room) -> None:
    room.add(watch_on(john()), watch_on(john(), label="Grey Owl", deliver_to=("owl",)))
    touch = room.touch()
    for registration in room.registrations():
        room.receive(room.alert(touch, registration))
    assert len(_groups(room)) == 1
    told = [Page.model_validate_json(row["private"]).channels for row in _pages(room)]
    assert sorted(name for channels in told for name in channels) == ["desk", "owl"]


def test_a_channel_that_joins_later_hears_of_it_and_the_others_not_again(room: Room) -> None:
    room.add(watch_on(john()), watch_on(john(), label="Grey Owl", deliver_to=("owl",)))
    touch, (one, two) = room.touch(), room.registrations()
    by_channel = {"owl" if _is_owl(room, each) else "desk": each for each in (one, two)}
    room.receive(room.alert(touch, by_channel["desk"]))
    _posted(room)
    room.receive(room.alert(touch, by_channel["owl"]))
    told = [Page.model_validate_json(row["private"]).channels for row in _pages(room)]
    assert sorted(told) == [("desk",), ("owl",)]


def _is_owl(room: Room, registration: Any) -> bool:
    from consumers.vault import REGISTRATIONS, WATCHES
    from consumers.watches import Watch

    with room.vault.read() as rows:
        for row in rows.find(REGISTRATIONS):
            if row["id"][:16] == registration.registration_id:
                watch = rows.get(WATCHES, row["watch_id"])
                assert watch is not None
                return Watch.model_validate_json(watch["private"]).label == "Grey Owl"
    raise AssertionError


@pytest.mark.parametrize(
    ("case", "later"),
    [("26-9999", timedelta(0)), ("", timedelta(0)), ("26-4411", timedelta(days=2))],
    ids=["another case", "no case number", "days later"],
)
def test_another_incident_pages_for_itself(room: Room, case: str, later: timedelta) -> None:
    room.add()
    room.receive(_in_case(room, "H-1"))
    _posted(room)
    second = room.receive(_in_case(room, "H-2", case, at=NOW + later))
    assert second is not None
    assert second.paged
    assert len(_groups(room)) == 2


def test_a_group_pages_again_only_when_it_gets_worse(room: Room, decisions: list[Decision]) -> None:
    room.add()
    decisions += [Decision.POSSIBLE, Decision.POSSIBLE, Decision.HIT, Decision.POSSIBLE]
    paged = []
    for number in range(4):
        received = room.receive(_in_case(room, f"H-{number}"))
        _posted(room)
        paged.append(received is not None and received.paged)
    assert paged == [True, False, True, False]


def test_a_waiting_page_of_the_group_is_not_lost_to_a_lesser_alert(
    room: Room, decisions: list[Decision]
) -> None:
    room.add()
    decisions += [Decision.HIT, Decision.DISCARDED]
    room.receive(_in_case(room, "H-1"))
    room.receive(_in_case(room, "H-2"))
    (page,) = _pages(room)
    assert page["decision"] == "hit"


def test_a_child_in_any_record_of_the_incident_counts_for_the_whole(
    room: Room, decisions: list[Decision]
) -> None:
    (others,) = BRANCHES
    children = {**others, "name": "children", "when": {"minor": True}}
    room.protocol = parse_protocol({**PROTOCOL, "branches": [children, others]})
    room.add()
    decisions += [Decision.POSSIBLE, Decision.HIT]
    with_child = room.touch(john(), john(minor=True), record="H-1", case="26-4411")
    first = room.alert(with_child, room.registrations()[0])
    room.receive(first)
    about = case_named(room.vault, first.alert_id.hex())
    with room.vault.write() as into:
        cases = cases_in(into, room.protocol, NOW)
        cases.claim(about, "reyes")
        cases.close(about, "reyes", "")
    _posted(room)
    second = _in_case(room, "H-2")
    room.receive(second)
    assert _case(room, second).route == ("children",)


def test_one_claim_answers_for_the_whole_group(room: Room) -> None:
    room.add()
    first, second = _in_case(room, "H-1"), _in_case(room, "H-2")
    room.receive(first)
    room.receive(second)
    about = case_named(room.vault, second.alert_id.hex())
    with room.vault.write() as into:
        cases_in(into, room.protocol, NOW).claim(about, "reyes")
    assert {(each["stage"], each["owner"]) for each in alerts_listed(room.vault)} == {
        ("owned", "reyes")
    }


def test_a_retraction_of_one_record_leaves_the_case_of_the_others(room: Room) -> None:
    room.add()
    first, second = _in_case(room, "H-1"), _in_case(room, "H-2")
    room.receive(first)
    room.receive(second)
    registration = room.registrations()[0]
    room.receive(room.notice(registration, AlertStatus.RETRACTED, revision=2))
    assert _case(room, second).stage is Stage.CLIMBING
    (page,) = _pages(room)
    assert page["state"] == PageState.DUE
    assert record_id("H-1") not in {row["private"] for row in _pages(room)}
    last = room.notice(registration, AlertStatus.RETRACTED, revision=2, record="H-2")
    room.receive(last)
    assert _case(room, second).stage is Stage.CLOSED
    assert _pages(room) == []


def test_a_correction_that_clears_the_subject_ends_a_case_nobody_owns(
    room: Room, decisions: list[Decision]
) -> None:
    room.add()
    decisions += [Decision.HIT, Decision.DISCARDED]
    alert = _in_case(room, "H-1")
    room.receive(alert)
    room.receive(_in_case(room, "H-1", revision=2))
    assert _case(room, alert).stage is Stage.CLOSED


def test_history_is_stored_and_pages_nobody_unless_asked(room: Room) -> None:
    room.add()
    received = room.receive(room.alert(room.touch(history=True), room.registrations()[0]))
    assert received is not None
    assert not received.paged
    assert _pages(room) == []
    (found,) = alerts_listed(room.vault)
    assert found["decision"] == "hit"
    assert found["stage"] is None


@pytest.mark.parametrize("asks", ["watch", "protocol"])
def test_history_pages_where_watch_or_protocol_asks(room: Room, asks: str) -> None:
    if asks == "protocol":
        room.protocol = parse_protocol({**PROTOCOL, "page_history": True})
    room.add(watch_on(page_history=asks == "watch"))
    received = room.receive(room.alert(room.touch(history=True), room.registrations()[0]))
    assert received is not None
    assert received.paged


def test_a_live_record_of_an_incident_known_from_history_pages(room: Room) -> None:
    room.add()
    room.receive(_in_case(room, "H-1", history=True))
    live = room.receive(_in_case(room, "H-2"))
    assert live is not None
    assert live.paged


def test_what_a_watch_does_not_want_to_hear_of_is_in_the_list_only(
    room: Room, decisions: list[Decision]
) -> None:
    room.add(watch_on(page_from="hit"))
    decisions += [Decision.POSSIBLE, Decision.HIT]
    registration = room.registrations()[0]
    paged = []
    for revision in (1, 2):
        received = room.receive(room.alert(room.touch(revision=revision), registration))
        paged.append(received is not None and received.paged)
    assert paged == [False, True]


def test_a_look_back_of_a_known_record_pages_nobody_again(room: Room) -> None:
    room.add()
    registration = room.registrations()[0]
    room.receive(room.alert(room.touch(), registration))
    _posted(room)
    again = room.receive(
        room.alert(room.touch(revision=2), registration, earlier=True), now=NOW_MS + 60_000
    )
    assert again is not None
    assert not again.paged
    assert to_ms(NOW) == NOW_MS
