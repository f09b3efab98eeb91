from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from consumers.alert_list import alerts_listed
from consumers.canaries import canaries, canary_id, canary_watch, is_canary
from consumers.cases import case_of, cases_in
from consumers.coverage import add_canaries, call_operator
from consumers.inbox import Outcome
from consumers.partner import Blinding, Partner
from consumers.settings import PartnerSettings
from consumers.vault import PAGES
from consumers.watch_list import listed
from schemas.messages import AlertStatus, WatchRegistration
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.call_tree.escalation import Stage
from silenthit.call_tree.pages import Page
from silenthit.call_tree.protocol import parse_protocol
from silenthit.canary import canary_subject
from tests.partner_room import NOW, NOW_MS, ORI, Room, john, watch_on

PROTOCOL = {
    "timezone": "UTC",
    "people": {"reyes": {"channels": ["sms"]}, "ops": {"channels": ["pager"]}},
    "branches": [{"name": "all", "levels": [{"call": ["reyes"], "within": "1h"}]}],
    "operator": [{"call": ["ops"], "within": "1h"}],
    "last_resort": {"call": ["reyes"]},
}
HOUR = timedelta(hours=1)


class Clocked(Partner):
    """A partner whose clock the test turns, and whose PRF is at hand."""

    time: datetime = NOW
    prf: Any = None

    def now(self) -> datetime:
        return self.time

    def blinding(self) -> Any:
        from contextlib import nullcontext

        epochs = Epochs(states={1: EpochState.CURRENT})
        return nullcontext(Blinding(self.prf, lambda: epochs))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room.make(tmp_path)
    made.protocol = parse_protocol(PROTOCOL)
    return made


@pytest.fixture
def partner(room: Room) -> Clocked:
    settings = PartnerSettings.model_validate(
        {
            "name": "fbi-ct",
            "bus": {"partner": {"bootstrap_servers": "127.0.0.1:1"}},
            "blinding": {},
        }
    )
    made = Clocked(settings, room.vault, room.protocol)
    object.__setattr__(made, "prf", room.prf)
    return made


def _at(partner: Clocked, moment: datetime) -> Clocked:
    object.__setattr__(partner, "time", moment)
    return partner


def _registration(room: Room) -> WatchRegistration:
    (found,) = room.registrations()
    return found


def _canary(room: Room, at: datetime, record: str = "canary", **changed: Any) -> Any:
    touch = room.touch(canary_subject(ORI), record=record, canary=True)
    return room.alert(
        touch, _registration(room), appended_at=round(at.timestamp() * 1000), **changed
    )


def test_each_trusted_agency_gets_one_canary_watch(room: Room, partner: Clocked) -> None:
    assert add_canaries(partner) == [ORI]
    assert add_canaries(partner) == []
    (found,) = listed(room.vault)
    assert is_canary(found.watch)
    assert found.watch.label == f"canary {ORI}"


def test_a_canary_is_noted_and_never_an_alert(room: Room, partner: Clocked) -> None:
    add_canaries(partner)
    received = room.receive(_canary(room, NOW), now=NOW_MS + 5000)
    assert received is not None
    assert received.outcome is Outcome.CANARY
    assert alerts_listed(room.vault) == []
    with room.vault.read() as rows:
        (known,) = canaries(rows)
        assert rows.count(PAGES) == 0
    assert known.published_at == NOW
    assert known.arrived_at == NOW + timedelta(seconds=5)


def test_a_canary_that_is_taken_back_leaves_nothing(room: Room, partner: Clocked) -> None:
    add_canaries(partner)
    room.receive(_canary(room, NOW))
    notice = room.notice(_registration(room), AlertStatus.RETRACTED, revision=2)
    received = room.receive(notice)
    assert received is not None
    assert received.outcome is Outcome.CANARY
    assert alerts_listed(room.vault) == []


def test_a_touch_that_calls_itself_a_canary_still_alerts_a_real_watch(room: Room) -> None:
    """Else an agency's mistake, or malice, could keep a hit from whoever watches."""
    room.add(watch_on(john()))
    received = room.receive(room.alert(room.touch(canary=True), _registration(room)))
    assert received is not None
    assert received.paged


def test_only_what_is_marked_as_a_canary_counts_as_one(room: Room, partner: Clocked) -> None:
    add_canaries(partner)
    touch = room.touch(canary_subject(ORI))
    room.receive(room.alert(touch, _registration(room)))
    with room.vault.read() as rows:
        (known,) = canaries(rows)
        assert rows.count(PAGES) == 0
    assert known.arrived_at is None


def test_a_missed_canary_calls_the_operator_once_and_ends_when_it_comes_again(
    room: Room, partner: Clocked
) -> None:
    add_canaries(partner)
    room.receive(_canary(room, NOW))
    since = NOW - 9 * HOUR
    assert call_operator(_at(partner, NOW + 2 * HOUR), since) == []
    late = _at(partner, NOW + 2 * HOUR + timedelta(seconds=1))
    assert [each.ori for each in call_operator(late, since)] == [ORI]
    assert call_operator(late, since) == []
    assert _calls(room, late.now()) == {"ops": "Hartford PD"}
    about = canary_id(ORI)
    with room.vault.write() as into:
        cases_in(into, room.protocol, late.now()).claim(about, "ops")
    room.receive(_canary(room, NOW + 3 * HOUR), now=NOW_MS + 3 * 3600_000)
    with room.vault.read() as rows:
        case = case_of(rows, about)
        assert case is not None
        assert case.stage is Stage.CLOSED
        whys = [Page.model_validate_json(row["private"]).fields["why"] for row in rows.find(PAGES)]
    assert "the canary came through again" in whys
    assert call_operator(_at(partner, NOW + 4 * HOUR), since) == []
    assert call_operator(_at(partner, NOW + 9 * HOUR), since) != []


def _calls(room: Room, now: datetime) -> dict[str, str]:
    with room.vault.write() as into:
        cases_in(into, room.protocol, now).escalate()
        pages = [Page.model_validate_json(row["private"]) for row in into.find(PAGES)]
    return {page.person: page.fields["label"] for page in pages}


def test_an_old_canary_that_arrives_late_does_not_count_as_fresh(
    room: Room, partner: Clocked
) -> None:
    add_canaries(partner)
    room.receive(_canary(room, NOW), now=NOW_MS + 5 * 3600_000)
    assert call_operator(_at(partner, NOW + 5 * HOUR), NOW - HOUR) != []


def test_a_process_that_was_down_waits_for_what_lies_at_the_exchange(
    room: Room, partner: Clocked
) -> None:
    add_canaries(partner)
    started = NOW + 24 * HOUR
    assert call_operator(_at(partner, started + HOUR), started) == []
    assert call_operator(_at(partner, started + 3 * HOUR), started) != []


def test_without_a_call_tree_the_partners_own_channels_hear_of_it(
    room: Room, partner: Clocked
) -> None:
    add_canaries(partner)
    settings = partner.settings.model_copy(update={"deliver_to": ("desk",)})
    plain = Clocked(settings, room.vault, None)
    assert call_operator(_at(plain, NOW + 3 * HOUR), NOW - HOUR) != []
    with room.vault.read() as rows:
        (page,) = [Page.model_validate_json(row["private"]) for row in rows.find(PAGES)]
    assert page.channels == ("desk",)
    assert page.fields["decision"] == "canary missed"


def test_a_canary_watch_is_of_nobody() -> None:
    watch = canary_watch(ORI, NOW)
    assert is_canary(watch)
    assert not is_canary(watch_on(john()))
    assert not is_canary(watch_on(john(), *watch.subjects))


def test_the_command_shows_it_agency_by_agency(
    room: Room, partner: Clocked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import contextmanager

    from consumers import coverage_commands

    @contextmanager
    def opened(*_: object) -> Any:
        yield _at(partner, NOW + 3 * HOUR)

    monkeypatch.setattr(coverage_commands, "opened", opened)

    def shown() -> Any:
        done = CliRunner().invoke(coverage_commands.coverage, ["--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    (line,) = shown()
    assert (line["ori"], line["state"]) == (ORI, "no canary watch")
    add_canaries(_at(partner, NOW + 3 * HOUR))
    assert shown()[0]["state"] == "waiting"
    room.receive(_canary(room, NOW + 2 * HOUR), now=NOW_MS)
    (line,) = shown()
    assert line["state"] == "in time"
    assert line["published_at"].startswith("2026-11-22T14:00")
