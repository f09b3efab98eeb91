from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from consumers.cases import case_of, cases_in
from consumers.history import history
from consumers.paging import PageRows, post_pages
from consumers.templates import check_channel
from consumers.times import to_ms
from consumers.vault import ATTEMPTS, PAGES
from schemas.messages import AlertStatus
from silenthit.call_tree.cases import Cases
from silenthit.call_tree.channels import ChannelSettings, Outlet
from silenthit.call_tree.escalation import Stage
from silenthit.call_tree.pages import PageState
from silenthit.call_tree.posting import LEASE_MS
from silenthit.call_tree.protocol import parse_protocol
from silenthit.errors import InputError, RefusedError, RetryError, SettingsError
from tests.partner_room import NOW, Room

PROTOCOL = {
    "timezone": "UTC",
    "people": {
        "reyes": {"channels": ["reyes_sms", "reyes_mail"]},
        "okafor": {"channels": ["okafor_sms"]},
        "duty": {"channels": ["desk_phone"]},
    },
    "branches": [
        {
            "name": "hits",
            "when": {"decision": "hit", "kind": "traffic_stop", "case_number": "50A-NH-1"},
            "levels": [
                {"call": ["reyes"], "within": "10m"},
                {"call": ["okafor"], "within": "10m"},
            ],
        }
    ],
    "last_resort": {"call": ["duty"], "every": "30m", "times": 2},
}
PRIVATE = ("quillfeather", "oxenbrook", "203-555", "219-09", "1980", "tanglewood", "tail light")


class Phone:
    """A channel that remembers, and refuses when told to."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.dead = False

    def post(self, title: str, body: str, key: str) -> None:
        if self.dead:
            raise RetryError("expected an answer, got none")
        self.heard.append(f"{title}\n{body}")


class Squad:
    """A room whose alerts climb, with every channel's phone."""

    def __init__(self, room: Room, **settings: Any) -> None:
        self.room = room
        names = ("desk", "reyes_sms", "reyes_mail", "okafor_sms", "desk_phone")
        self.phones = {name: Phone() for name in names}
        chosen = ChannelSettings(url=SecretStr("json://x"), **settings)
        self.outlets = {name: Outlet(phone, chosen) for name, phone in self.phones.items()}
        self.alert = room.alert(room.touch(), room.registrations()[0])

    def cases(self, change: Callable[[Cases], Any], now: datetime = NOW) -> Any:
        with self.room.vault.write() as into:
            return change(cases_in(into, self.room.protocol, now))

    def work(self, now: datetime) -> None:
        """What the inbox process does at that time."""
        self.cases(Cases.escalate, now)
        post_pages(self.room.vault, self.outlets, lambda: to_ms(now))

    def heard(self) -> dict[str, int]:
        return {name: len(phone.heard) for name, phone in self.phones.items() if phone.heard}

    def case(self) -> Any:
        with self.room.vault.read() as rows:
            return case_of(rows, self.alert.alert_id)


@pytest.fixture
def squad(tmp_path: Path) -> Squad:
    room = Room.make(tmp_path)
    room.channels = ()
    room.protocol = parse_protocol(PROTOCOL)
    room.add()
    made = Squad(room)
    room.receive(made.alert)
    return made


def test_an_alert_climbs_until_the_last_resort_and_no_further(squad: Squad) -> None:
    for minutes in range(0, 200, 5):
        squad.work(NOW + timedelta(minutes=minutes))
    assert squad.heard() == {"reyes_sms": 1, "okafor_sms": 1, "desk_phone": 2}
    assert squad.case().stage is Stage.LAST_RESORT


def test_what_is_posted_to_people_has_no_subject_data_and_says_how_to_answer(squad: Squad) -> None:
    squad.work(NOW)
    (text,) = squad.phones["reyes_sms"].heard
    assert f"silenthit alerts claim {squad.alert.alert_id.hex()[:8]}" in text
    assert "Blue Heron 1" in text
    assert "level 1" in text
    for word in PRIVATE:
        assert word not in text.lower(), word


def test_a_claim_stops_the_climbing_and_tells_those_who_were_called(squad: Squad) -> None:
    squad.work(NOW)
    squad.work(NOW + timedelta(minutes=10))
    squad.cases(lambda cases: cases.claim(squad.alert.alert_id, "okafor"))
    for hours in range(100):
        squad.work(NOW + timedelta(hours=1 + hours))
    assert squad.heard() == {"reyes_sms": 2, "okafor_sms": 1}
    assert "claimed by okafor" in squad.phones["reyes_sms"].heard[-1]
    assert squad.case().owner == "okafor"


def test_a_claim_takes_back_a_call_that_was_not_posted_yet(squad: Squad) -> None:
    squad.cases(Cases.escalate)
    squad.cases(lambda cases: cases.claim(squad.alert.alert_id, "okafor"))
    squad.work(NOW + timedelta(minutes=1))
    assert "claimed by" in squad.phones["reyes_sms"].heard[0]
    assert len(squad.phones["reyes_sms"].heard) == 1


def test_one_owner_at_a_time(squad: Squad) -> None:
    of = squad.alert.alert_id
    squad.cases(lambda cases: cases.claim(of, "reyes"))
    squad.cases(lambda cases: cases.claim(of, "reyes"))
    with pytest.raises(RefusedError, match="reyes does; ask"):
        squad.cases(lambda cases: cases.claim(of, "okafor"))
    for change in (
        lambda cases: cases.close(of, "okafor", ""),
        lambda cases: cases.release(of, "okafor", ""),
        lambda cases: cases.snooze(of, "okafor", timedelta(hours=1)),
    ):
        with pytest.raises(RefusedError, match="alerts claim"):
            squad.cases(change)


def test_of_two_who_claim_at_once_one_gets_it(squad: Squad) -> None:
    outcomes: list[str] = []
    ready = threading.Barrier(2)

    def claim(who: str) -> None:
        ready.wait()
        try:
            squad.cases(lambda cases: cases.claim(squad.alert.alert_id, who))
        except RefusedError:
            outcomes.append("refused")
        else:
            outcomes.append("claimed")

    both = [threading.Thread(target=claim, args=(who,)) for who in ("reyes", "okafor")]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(outcomes) == ["claimed", "refused"]


def test_a_release_begins_again_and_a_close_ends_it(squad: Squad) -> None:
    of = squad.alert.alert_id
    squad.work(NOW)
    squad.cases(lambda cases: cases.claim(of, "reyes"))
    later = NOW + timedelta(hours=3)
    squad.cases(lambda cases: cases.release(of, "reyes", "off duty"), later)
    squad.work(later)
    assert "level 1" in squad.phones["reyes_sms"].heard[-1]
    squad.cases(lambda cases: cases.claim(of, "reyes"), later)
    squad.cases(lambda cases: cases.close(of, "reyes", "done"), later)
    before = squad.heard()
    squad.work(later + timedelta(days=30))
    assert squad.heard() == before
    with pytest.raises(RefusedError, match="closed"):
        squad.cases(lambda cases: cases.claim(of, "okafor"))


def test_a_snooze_reminds_and_is_bounded(squad: Squad) -> None:
    of = squad.alert.alert_id
    squad.cases(lambda cases: cases.claim(of, "reyes"))
    with pytest.raises(InputError, match="7d"):
        squad.cases(lambda cases: cases.snooze(of, "reyes", timedelta(days=8)))
    squad.cases(lambda cases: cases.snooze(of, "reyes", timedelta(hours=4)))
    squad.work(NOW + timedelta(hours=3))
    assert squad.heard() == {}
    squad.work(NOW + timedelta(hours=4))
    assert "reminder" in squad.phones["reyes_sms"].heard[0]


def test_everything_that_was_done_is_written_down(squad: Squad) -> None:
    of = squad.alert.alert_id
    squad.work(NOW)
    steps = [
        lambda cases: cases.note(of, "okafor", "left a message"),
        lambda cases: cases.claim(of, "reyes"),
        lambda cases: cases.close(of, "reyes", "done"),
    ]
    for minute, change in enumerate(steps, start=1):
        squad.cases(change, NOW + timedelta(minutes=minute))
    with squad.room.vault.read() as rows:
        events = [(each["action"], each["who"], each["text"]) for each in history(rows, of)]
    assert sorted(events[:2]) == [("called", "reyes", "level 1"), ("opened", "", "hits")]
    assert events[2:] == [
        ("noted", "okafor", "left a message"),
        ("claimed", "reyes", ""),
        ("closed", "reyes", "done"),
    ]


def test_a_retraction_stops_it_and_tells_those_who_have_it(squad: Squad) -> None:
    squad.work(NOW)
    registration = squad.room.registrations()[0]
    notice = squad.room.notice(registration, AlertStatus.RETRACTED, revision=2)
    squad.room.receive(notice, now=to_ms(NOW + timedelta(minutes=5)))
    for hours in range(1, 10):
        squad.work(NOW + timedelta(hours=hours))
    assert squad.heard() == {"reyes_sms": 2}
    assert "retracted by the agency" in squad.phones["reyes_sms"].heard[-1]


def test_the_next_channel_is_tried_when_one_is_dead_and_then_it_is_enough(squad: Squad) -> None:
    squad.phones["reyes_sms"].dead = True
    squad.work(NOW)
    squad.phones["reyes_sms"].dead = False
    squad.work(NOW + timedelta(minutes=9))
    assert squad.heard() == {"reyes_mail": 1}


def test_when_every_channel_is_dead_it_is_tried_again_and_still_climbs(squad: Squad) -> None:
    for name in ("reyes_sms", "reyes_mail"):
        squad.phones[name].dead = True
    squad.work(NOW)
    squad.work(NOW + timedelta(minutes=10))
    assert squad.heard() == {"okafor_sms": 1}
    squad.phones["reyes_mail"].dead = False
    squad.work(NOW + timedelta(minutes=12))
    assert squad.heard()["reyes_mail"] == 1


def test_two_processes_on_one_vault_call_nobody_twice(squad: Squad) -> None:
    ready = threading.Barrier(4)

    def work() -> None:
        ready.wait()
        squad.work(NOW)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert squad.heard() == {"reyes_sms": 1}


def test_a_crash_while_posting_repeats_a_page_at_most_once(squad: Squad) -> None:
    class CrashError(Exception):
        pass

    posted = squad.phones["reyes_sms"]

    class Crashing:
        def post(self, title: str, body: str, key: str) -> None:
            posted.post(title, body, key)
            raise CrashError

    squad.cases(Cases.escalate)
    outlet = squad.outlets["reyes_sms"]
    crashing = {**squad.outlets, "reyes_sms": Outlet(Crashing(), outlet.settings)}
    with pytest.raises(CrashError):
        post_pages(squad.room.vault, crashing, lambda: to_ms(NOW))
    post_pages(squad.room.vault, squad.outlets, lambda: to_ms(NOW) + LEASE_MS - 1)
    assert len(posted.heard) == 1
    with pytest.raises(CrashError):
        post_pages(squad.room.vault, crashing, lambda: to_ms(NOW) + LEASE_MS)
    assert len(posted.heard) == 2
    for later in (2 * LEASE_MS, 3 * LEASE_MS, 100 * LEASE_MS):
        post_pages(squad.room.vault, squad.outlets, lambda: to_ms(NOW) + later)  # noqa: B023
    assert len(posted.heard) == 2
    assert len(squad.phones["reyes_mail"].heard) == 1, "the next channel, once this one is spent"


def test_a_claim_while_a_call_is_being_posted_stops_the_next_channel(squad: Squad) -> None:
    class Dying:
        """Somebody claims while this channel is asked in vain."""

        def post(self, title: str, body: str, key: str) -> None:
            squad.cases(lambda cases: cases.claim(squad.alert.alert_id, "okafor"))
            raise RetryError("expected an answer, got none")

    settings = squad.outlets["reyes_sms"].settings
    squad.outlets["reyes_sms"] = Outlet(Dying(), settings)
    squad.work(NOW)
    squad.work(NOW + timedelta(hours=1))
    (told,) = squad.phones["reyes_mail"].heard
    assert "claimed by okafor" in told
    assert "level 1" not in told


def test_a_call_whose_poster_crashed_is_not_made_after_a_claim(squad: Squad) -> None:
    class CrashError(Exception):
        pass

    class Crashing:
        def post(self, title: str, body: str, key: str) -> None:
            raise CrashError

    squad.cases(Cases.escalate)
    settings = squad.outlets["reyes_sms"].settings
    crashing = {**squad.outlets, "reyes_sms": Outlet(Crashing(), settings)}
    with pytest.raises(CrashError):
        post_pages(squad.room.vault, crashing, lambda: to_ms(NOW))
    squad.cases(lambda cases: cases.claim(squad.alert.alert_id, "okafor"))
    for later in (1, 2, 100):
        squad.work(NOW + timedelta(milliseconds=later * LEASE_MS))
    assert squad.heard() == {"reyes_sms": 1}
    assert "claimed by okafor" in squad.phones["reyes_sms"].heard[0]


def test_who_lost_the_lease_posts_nothing_more(squad: Squad) -> None:
    """A process that was stopped for longer than its lease lasts, and goes on."""
    store = PageRows(squad.room.vault)
    squad.cases(Cases.escalate)
    first = store.lease(to_ms(NOW), to_ms(NOW) + LEASE_MS)
    second = store.lease(to_ms(NOW) + LEASE_MS, to_ms(NOW) + 2 * LEASE_MS)
    assert first is not None
    assert second is not None
    assert second.page_id == first.page_id
    assert store.begin(first, "reyes_sms", to_ms(NOW) + LEASE_MS) is None
    store.done(first)
    store.again(first, 0)
    assert store.begin(second, "reyes_sms", to_ms(NOW) + LEASE_MS) is not None


def test_each_try_is_recorded(squad: Squad) -> None:
    squad.phones["reyes_sms"].dead = True
    squad.work(NOW)
    with squad.room.vault.read() as rows:
        tries = {row["private"].decode(): row["outcome"] for row in rows.find(ATTEMPTS)}
        states = [row["state"] for row in rows.find(PAGES, PAGES.c.kind == "call")]
    assert tries == {"reyes_sms": "failed", "reyes_mail": "posted"}
    assert states == [PageState.POSTED]


def test_a_template_shows_what_it_names(tmp_path: Path) -> None:
    room = Room.make(tmp_path)
    room.add()
    squad = Squad(room, title="{label}!", body="{kind} by {agency}: {subjects}", subject_data=True)
    room.receive(squad.alert)
    squad.work(NOW)
    (text,) = squad.phones["desk"].heard
    assert text.startswith("Blue Heron 1!\ntraffic stop by Hartford PD: suspect John Quillfeather")


def test_a_page_that_waits_while_its_record_is_retracted_quotes_nothing(tmp_path: Path) -> None:
    room = Room.make(tmp_path)
    room.add()
    squad = Squad(room, body="{subjects}", subject_data=True)
    room.receive(squad.alert)
    squad.phones["desk"].dead = True
    squad.work(NOW)
    room.receive(room.notice(room.registrations()[0], AlertStatus.RETRACTED, revision=2))
    squad.phones["desk"].dead = False
    squad.work(NOW + timedelta(hours=1))
    assert squad.phones["desk"].heard
    assert "Quillfeather" not in "".join(squad.phones["desk"].heard)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{subjects}", "subject_data = true"),
        ("{colour}", "fields of an alert"),
        ("{label", "unmatched"),
        ("{0}", "fields of an alert"),
        ("{label.__class__}", "fields of an alert"),
    ],
)
def test_a_template_that_may_not_or_cannot_be_filled_is_refused(body: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        check_channel("desk", ChannelSettings(url=SecretStr("json://x"), body=body))
