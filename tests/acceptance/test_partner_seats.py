"""Canary, history and following on Apache Kafka, by commands, each told from its seat."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from silenthit.bus.clients import KafkaSettings
from tests.desk import Desk, open_desk
from tests.town import Town, town, wait_until

pytestmark = pytest.mark.slow

ORI = "CT0006400"
SHELTER = "203-555-0999"
WATCHES = """
[[watch]]
label = "Heron"
legal_basis = "affidavit"
[[watch.subject]]
surname = "Quillfeather"
given = "John"
birth_dates = ["1980-01-02"]
identifiers = [{kind = "ssn", value = "212-34-5678"}]
[[watch]]
label = "Egret"
legal_basis = "affidavit"
page_history = true
[[watch.subject]]
surname = "Oxenbrook"
given = "Mary"
birth_dates = ["1991-07-30"]
identifiers = [{kind = "ssn", value = "413-22-8765"}]
"""
HEAD = "record_number,kind,role,surname,given,birth_date,ssn,phone\n"
SOURCE = '\n[[sources]]\nname = "rms"\ntype = "folder"\npath = "incoming"\n'
JOHN = "Quillfeather,John,1980-01-02,212-34-5678"
MARY = "Oxenbrook,Mary,1991-07-30,413-22-8765"


@pytest.fixture
def desk() -> Iterator[Desk]:
    with open_desk() as made:
        yield made


@pytest.fixture
def place(fresh_kafka: KafkaSettings, redis_url: str, tmp_path: Path, desk: Desk) -> Iterator[Town]:
    """A town with one agency, one partner with two watches, and a worker."""
    with town(tmp_path / "town", fresh_kafka, redis_url) as made:
        made.add_agency("harbor", ORI)
        made.add_partner("fbi", "harbor", options=("--channel", desk.channel))
        made.start_worker()
        made.watch("fbi", WATCHES)
        yield made


def _publish(place: Town, *lines: str, history: bool = False) -> None:
    path = place.folder / f"records-{len(list(place.folder.glob('records-*')))}.csv"
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines), "utf-8")
    more = ["--history"] if history else []
    place.run("agency", "publish", path, *more, *place.of("harbor", "agency"))


def _read(place: Town, *words: str) -> Any:
    return json.loads(place.run(*words, "--json", *place.of("fbi", "partner")))


def _received(place: Town, *numbers: str) -> dict[str, dict[str, Any]]:
    """Wait until the partner has an alert of each record; return all of them by number."""

    def there() -> dict[str, dict[str, Any]]:
        found = {each["record_number"]: each for each in place.alerts("fbi")}
        return found if found.keys() >= set(numbers) else {}

    found: dict[str, dict[str, Any]] = wait_until(there, f"alerts of {numbers}")
    return found


@pytest.mark.timeout(240)
def test_canary_history_and_following_from_each_seat(place: Town, desk: Desk) -> None:
    _history_pages_only_who_asked(place, desk)
    _a_canary_comes_through_and_a_missed_one_calls_the_operator(place, desk)
    _a_phone_seen_with_the_subject_is_followed(place)


def _history_pages_only_who_asked(place: Town, desk: Desk) -> None:
    lines = (f"OLD-1,arrest,suspect,{JOHN},", f"OLD-2,arrest,suspect,{MARY},")
    _publish(place, *lines, history=True)
    found = _received(place, "OLD-1", "OLD-2")
    assert {each["decision"] for each in found.values()} == {"hit"}
    assert set(desk.posted) == {found["OLD-2"]["alert_id"]}


@contextmanager
def _agent(place: Town) -> Iterator[None]:
    command = [sys.executable, "-m", "silenthit", "agency", "run", *place.of("harbor", "agency")]
    config = place.folder / "harbor" / "agency.toml"
    config.with_name("incoming").mkdir()
    config.write_text(config.read_text("utf-8") + SOURCE, "utf-8")
    with (place.folder / "agent.log").open("ab") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        running.terminate()
        assert running.wait(30) == 0


def _a_canary_comes_through_and_a_missed_one_calls_the_operator(place: Town, desk: Desk) -> None:
    def state() -> str:
        place.run("alerts", "receive", "--once", *place.of("fbi", "partner"))
        (line,) = _read(place, "coverage")
        return str(line["state"])

    assert state() == "no canary watch"
    place.run("coverage", "add", *place.of("fbi", "partner"))
    assert state() == "waiting"
    held, posted = len(place.alerts("fbi")), set(desk.posted)
    with _agent(place):
        wait_until(lambda: state() == "in time", "the canary to come through")
    assert (len(place.alerts("fbi")), set(desk.posted)) == (held, posted), "a canary is no alert"
    config = place.folder / "fbi" / "partner.toml"
    config.write_text('canary_missed_after = "PT1S"\n' + config.read_text("utf-8"), "utf-8")
    wait_until(lambda: state() == "missed", "the canary to be missed")
    (body,) = [each for each in desk.bodies if "canary" in each.lower()]
    assert "Harbor" in body
    state()
    assert len([each for each in desk.bodies if "canary" in each.lower()]) == 1, "called once"


def _a_phone_seen_with_the_subject_is_followed(place: Town) -> None:
    crowd = [f"S-{n},field_contact,contact,Guest{n},Ann,,,{SHELTER}" for n in range(6)]
    seen = f"J-1,arrest,suspect,{JOHN},203-555-0142;{SHELTER}"
    _publish(place, *crowd, seen)
    hit = _received(place, "J-1")["J-1"]
    assert hit["decision"] == "hit"
    code = hit["alert_id"][:8]
    options = ("--kind", "phone", "--carried-by-most", "4")
    tried = _read(place, "watch", "follow", code, *options, "--dry-run")
    assert tried["followed"] == []
    assert len(_read(place, "watch", "follow", code, *options)["followed"]) == 2
    assert len(_read(place, "watch", "list")) == 5  # two, the canary's, and two that were followed
    friend = "F-1,field_contact,contact,Tanglewood,Ben,1985-05-05,,203-555-0142"
    _publish(place, friend, f"S-9,field_contact,contact,Guest9,Ann,,,{SHELTER}")
    found = _received(place, "F-1")
    assert found["F-1"]["decision"] == "possible"
    assert found["F-1"]["association"].startswith("by association: the phone first seen")
    place.wait_until_matched()

    def let_go() -> list[str]:
        place.alerts("fbi")
        told = _read(place, "watch", "followed", "Heron")["followed"]
        return [each["value"] for each in told if each["let_go"]]

    assert wait_until(let_go, "the popular phone to be let go") == [SHELTER]
    guests = [each for each in place.alerts("fbi") if str(each["record_number"]).startswith("S-")]
    assert guests == []
