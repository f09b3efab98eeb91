"""A watch and its alerts through their whole life, by commands alone: SQLite, then PostgreSQL."""

from __future__ import annotations

import csv
import json
import signal
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
PEOPLE = {"lee": "registrar", "okafor": "analyst", "ford": "auditor"}
HERON = """
[[watch]]
label = "Heron"
case_number = "50A-NH-1"
legal_basis = "Probable cause affidavit, 2026-10-02"
stated_by = "SA Reyes"
handling = "Do not approach; call SA Reyes"
owner = "okafor"
backup = "reyes"
[[watch.subject]]
surname = "Quillfeather"
given = "John"
birth_dates = ["1980-01-02"]
identifiers = [{kind = "ssn", value = "212-34-5678"}]
[[watch.subject]]
phone = ["203-555-0142", "203-555-0143"]
plate = "CT:AB12345"
"""
LIST = """watch,label,legal_basis,surname,given,birth_dates,ssn
,Egret,affidavit,Oxenbrook,Mary,1991-07-30,413-22-8765
,No basis,,Nobody,Ned,1970-01-01,
x,Two of them,affidavit,Tanglewood,Ann,1975-05-05,
x,,,Brindlecombe,Bob,1976-06-06,509-41-2387
"""
RECORDS = "record_number,kind,role,surname,given,birth_date,ssn,narrative\n"


@pytest.fixture
def desk() -> Iterator[Desk]:
    with open_desk() as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def place(
    request: pytest.FixtureRequest,
    fresh_kafka: KafkaSettings,
    redis_url: str,
    tmp_path: Path,
    desk: Desk,
) -> Iterator[Town]:
    """A town with one agency, one partner with people of every role, and a worker."""
    at: tuple[str, ...] = ()
    if request.param == "postgresql":
        at = ("--vault-url", request.getfixturevalue("postgres_url"))
    with town(tmp_path / "town", fresh_kafka, redis_url) as made:
        made.add_agency("harbor", ORI)
        options = (*at, "--user", "reyes", "--channel", desk.channel)
        made.add_partner("fbi", "harbor", options=options)
        for name, role in PEOPLE.items():
            made.run("partner", "user", "add", name, "--role", role, *made.of("fbi", "partner"))
        made.start_worker()
        yield made


class Partner:
    """The partner's commands, each as somebody."""

    def __init__(self, place: Town) -> None:
        self._place = place
        self._config = place.of("fbi", "partner")

    def run(self, who: str, *words: str | Path, code: int = 0) -> str:
        return self._place.run(*words, "--as", who, *self._config, code=code)

    def read(self, who: str, *words: str | Path) -> Any:
        return json.loads(self.run(who, *words, "--json"))

    def alerts(self) -> dict[str, dict[str, Any]]:
        """Receive what there is; return each alert by its record's number."""
        self._place.run("alerts", "receive", "--once", *self._config)
        return {each["record_number"]: each for each in self.read("okafor", "alerts", "list")}

    def wait_for(self, number: str, **wanted: Any) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            found = self.alerts().get(number, {})
            return found if found and wanted.items() <= found.items() else None

        found: dict[str, Any] = wait_until(there, f"an alert of {number} with {wanted}")
        return found

    @contextmanager
    def inboxes(self, count: int) -> Iterator[None]:
        """Run so many inbox processes at once on the one vault."""
        command = [sys.executable, "-m", "silenthit", "alerts", "receive", *self._config]
        running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(count)]
        try:
            yield
        finally:
            for each in running:
                each.send_signal(signal.SIGTERM)
            assert [each.wait(30) for each in running] == [0] * count


def _publish(place: Town, *rows: str) -> None:
    path = place.folder / f"records-{len(list(place.folder.glob('records-*')))}.csv"
    path.write_text(RECORDS + "".join(f"{row}\n" for row in rows), "utf-8")
    place.publish("harbor", path)


def _john(number: str, narrative: str = "") -> str:
    return f"{number},arrest,suspect,Quillfeather,John,1980-01-02,212-34-5678,{narrative}"


def _mary(number: str) -> str:
    return f"{number},field_contact,suspect,Oxenbrook,Mary,1991-07-30,413-22-8765,"


@pytest.mark.timeout(600)
def test_the_life_of_a_watch_and_of_its_alerts(place: Town, desk: Desk) -> None:
    fbi = Partner(place)
    _enter_and_approve(place, fbi)
    alert = _meet_and_answer(place, fbi)
    _inboxes_share_the_vault(place, fbi, desk)
    _change_and_end(place, fbi)
    _audit(fbi, alert)
    everything = "".join(desk.bodies).lower()
    assert "heron" in everything
    for word in ("quillfeather", "oxenbrook", "212-34", "1980", "tail light"):
        assert word not in everything


def _enter_and_approve(place: Town, fbi: Partner) -> None:
    heron, table = place.folder / "heron.toml", place.folder / "list.csv"
    heron.write_text(HERON, "utf-8")
    table.write_text(LIST, "utf-8")
    tried = fbi.read("lee", "watch", "add", "--from", heron, "--dry-run")
    assert [each["subject"] for each in tried["subjects"]] == [1, 2]
    assert fbi.read("lee", "watch", "list") == []
    assert fbi.read("lee", "watch", "add", "--from", heron)["state"] == "waiting"
    report = place.folder / "report.csv"
    said = fbi.run("lee", "watch", "import", table, "--report", report, code=2)
    assert "2 watches added, 1 refused" in said
    with report.open(encoding="utf-8", newline="") as file:
        results = {row["rows"]: row["result"] for row in csv.DictReader(file)}
    assert results == {"2": "added", "3": "refused", "4 5": "added"}
    fbi.run("lee", "watch", "approve", "--all", code=5)
    assert fbi.read("reyes", "watch", "approve", "--all") == {"approved": 3}
    assert {each["state"] for each in fbi.read("lee", "watch", "list")} == {"active"}


def _meet_and_answer(place: Town, fbi: Partner) -> str:
    _publish(place, _john("H-1", "Stopped for a broken tail light."))
    alert = fbi.wait_for("H-1", decision="hit", label="Heron")
    code: str = alert["alert_id"][:8]
    fbi.run("lee", "alerts", "show", code, code=5)
    shown = fbi.run("okafor", "alerts", "show", code)
    assert "tail light" in shown
    assert "Do not approach" in shown
    fbi.run("okafor", "alerts", "claim", code)
    fbi.run("reyes", "alerts", "claim", code, code=5)
    assert fbi.alerts()["H-1"]["owner"] == "okafor"
    fbi.run("okafor", "alerts", "note", code, "called Harbor")
    file = place.folder / "case.json"
    fbi.run("okafor", "alerts", "export", code, file, "--to", "AUSA Bell", "--purpose", "26-cr-1")
    fbi.run("okafor", "alerts", "close", code, "--text", "surveillance goes on")
    _publish(place, _john("H-1", "Stopped for a broken tail light; let go."))
    again = fbi.wait_for("H-1", revision=2)
    assert again["alert_id"] == alert["alert_id"]
    place.run("agency", "retract", "H-1", *place.of("harbor", "agency"))

    def retracted() -> bool:
        place.run("alerts", "receive", "--once", *place.of("fbi", "partner"))
        listed = {each["alert_id"]: each for each in fbi.read("okafor", "alerts", "list")}
        return bool(listed[alert["alert_id"]]["status"] == "retracted")

    wait_until(retracted, "the alert to be retracted")
    return str(alert["alert_id"])


def _inboxes_share_the_vault(place: Town, fbi: Partner, desk: Desk) -> None:
    before = set(desk.posted)
    numbers = [f"M-{n}" for n in range(12)]
    with fbi.inboxes(2):
        for each in numbers:
            _publish(place, _mary(each))

        def all_there() -> bool:
            listed = fbi.read("okafor", "alerts", "list")
            return {each["record_number"] for each in listed} >= set(numbers)

        wait_until(all_there, "every alert in the vault")
        wait_until(lambda: len(set(desk.posted) - before) >= 1, "a page")
    fbi.alerts()  # what is due is posted
    assert {desk.posted[each] for each in set(desk.posted) - before} == {1}


def _change_and_end(place: Town, fbi: Partner) -> None:
    fbi.run("lee", "watch", "edit", "Egret", "--label", "Grebe", code=5)
    assert fbi.read("reyes", "watch", "edit", "Egret", "--label", "Grebe")["state"] == "active"
    fbi.run("reyes", "watch", "renew", "Grebe", code=5)
    renewed = fbi.read("reyes", "watch", "renew", "Grebe", "--review", "SSA Ford: it stands")
    assert renewed["expires_at"] > fbi.read("lee", "watch", "list")[-1]["expires_at"]
    done = fbi.read("lee", "watch", "history", "Grebe")
    assert [each["action"] for each in done] == ["added", "approved", "edited", "renewed"]
    _turn_the_epoch(place, fbi)
    fbi.run("reyes", "watch", "expire", "Heron", "--why", "case closed")
    _publish(place, _john("H-2"), _mary("M-last"))
    fbi.wait_for("M-last", label="Grebe")
    place.wait_until_matched()
    assert "H-2" not in fbi.alerts()
    fbi.run("reyes", "watch", "remove", "Grebe")
    states = {
        each["label"]: each["state"] for each in fbi.read("lee", "watch", "list", "--removed")
    }
    assert states == {"Heron": "expired", "Grebe": "removed", "Two of them": "active"}


def _turn_the_epoch(place: Town, fbi: Partner) -> None:
    """The partner prepares the next epoch: every standing watch is registered in it too."""
    coming, config = place.folder / "epoch-2.json", place.folder / "fbi" / "partner.toml"
    place.run("keyholder", "generate", coming, "--epoch", "2")
    text = config.read_text("utf-8").replace('1 = "current"', '1 = "current"\n2 = "prepared"')
    config.write_text(text.replace(f'"{place.key}"', f'"{place.key}", "{coming}"'), "utf-8")
    assert fbi.read("reyes", "watch", "retoken") == {"registered": 3}
    assert {each["registrations"] for each in fbi.read("lee", "watch", "list")} == {2}


def _audit(fbi: Partner, alert_id: str) -> None:
    fbi.run("okafor", "partner", "audit", code=5)
    fbi.run("ford", "watch", "list", code=5)
    entries = fbi.read("ford", "partner", "audit", "--about", alert_id)["entries"]
    people = {(each["who"], each["action"]) for each in entries}
    assert {("okafor", "seen"), ("okafor", "claimed"), ("okafor", "exported")} <= people
    assert not any(who in {"lee", "ford"} for who, _ in people)
    assert "The log is whole" in fbi.run("ford", "partner", "audit")
