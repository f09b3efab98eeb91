"""From record to alert on Apache Kafka: repeated, corrected, retracted, forged, through a kill."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from silenthit.bus.clients import KafkaSettings, Publisher
from tests.town import Town, town, wait_until

MAPPING = """
[columns]
record_number = "No"
kind = "Type"
role = "Role"
surname = "Last"
given = "First"
birth_date = "DOB"
phone = "Phone"
ssn = "SSN"
narrative = "Text"
[formats]
date = "%Y-%m-%d"
"""
HEAD = "No,Type,Role,Last,First,DOB,Phone,SSN,Text\n"
WATCH = """
[[watch]]
label = "{surname}"
legal_basis = "affidavit"
[[watch.subject]]
surname = "{surname}"
given = "John"
birth_dates = ["1980-01-02"]
"""


@pytest.fixture(scope="module")
def harbor(module_kafka: KafkaSettings, redis_server: str, tmp_path_factory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    with Redis.from_url(redis_server) as client:
        client.flushall()  # another test's checkpoints are of another cluster
    with town(folder, module_kafka, redis_server) as made:
        made.add_agency("harbor", "MA0130100")
        made.add_partner("fbi", "harbor")
        (folder / "map.toml").write_text(MAPPING, encoding="utf-8")
        made.start_worker()
        yield made


def publish(made: Town, *rows: str) -> None:
    path = made.folder / "records.csv"
    path.write_text(HEAD + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    made.publish("harbor", path, mapping=made.folder / "map.toml")


def watch(made: Town, surname: str) -> None:
    made.watch("fbi", WATCH.format(surname=surname))


def john(number: str, surname: str, text: str = "") -> str:
    return f"{number},arrest,suspect,{surname},John,1980-01-02,,,{text}"


def active(made: Town, label: str) -> list[dict[str, Any]]:
    return [alert for alert in alerts(made, label) if alert["status"] == "active"]


def alerts(made: Town, label: str) -> list[dict[str, Any]]:
    """What the partner holds under a label."""
    made.wait_until_matched()
    return [alert for alert in made.alerts("fbi") if alert["label"] == label]


def test_a_record_published_twice_is_one_alert_and_a_correction_updates_it(harbor: Town) -> None:
    watch(harbor, "Quillfeather")
    rows = john("A-1", "Quillfeather"), john("A-2", "Quillfeather")
    publish(harbor, *rows)
    publish(harbor, *rows)
    first = alerts(harbor, "Quillfeather")
    assert sorted((a["record_number"], a["revision"], a["status"]) for a in first) == [
        ("A-1", 1, "active"),
        ("A-2", 1, "active"),
    ]
    publish(harbor, john("A-1", "Quillfeather", text="He had a second phone."))
    second = {a["record_number"]: a for a in alerts(harbor, "Quillfeather")}
    assert second.keys() == {"A-1", "A-2"}
    assert (second["A-1"]["revision"], second["A-1"]["status"]) == (2, "active")
    assert second["A-1"]["alert_id"] in {a["alert_id"] for a in first}


def test_a_correction_that_no_longer_matches_withdraws_and_a_retraction_purges(
    harbor: Town,
) -> None:
    watch(harbor, "Oxenbrook")
    publish(harbor, john("B-1", "Oxenbrook"), john("B-2", "Oxenbrook"))
    assert len(alerts(harbor, "Oxenbrook")) == 2
    publish(harbor, "B-1,arrest,suspect,Tanglewood,Mary,1991-07-30,,,")
    harbor.run("agency", "retract", "B-2", *harbor.of("harbor", "agency"))
    found = sorted((a["revision"], a["status"]) for a in alerts(harbor, "Oxenbrook"))
    assert found == [(2, "retracted"), (2, "withdrawn")]


def test_a_watch_placed_after_the_touch_looks_back(harbor: Town) -> None:
    publish(harbor, john("C-1", "Featherstone"), "C-9,arrest,suspect,Ash,Mary,1991-07-30,,,")
    harbor.wait_until_matched()
    watch(harbor, "Featherstone")
    publish(harbor, john("C-3", "Featherstone"))
    wait_until(lambda: len(active(harbor, "Featherstone")) == 2, "two alerts")
    found = {a["record_number"]: a["earlier"] for a in active(harbor, "Featherstone")}
    assert found == {"C-1": True, "C-3": False}


def test_a_touch_whose_code_is_not_its_senders_is_quarantined_and_the_stream_goes_on(
    harbor: Town,
) -> None:
    watch(harbor, "Wychwood")
    with Publisher(harbor.kafka, client_id="forger") as forger:
        headers = [("sender", b"MA0130100#1"), ("mac", b"0" * 32)]
        place = forger.send("touches", b"r" * 16, b"forged", headers=headers).result()
    publish(harbor, john("D-1", "Wychwood"))
    assert [a["record_number"] for a in active(harbor, "Wychwood")] == ["D-1"]
    assert {
        "topic": "touches",
        "partition": place.partition,
        "offset": place.offset,
        "reason": "forged_sender",
        "worker": "worker",
    } in harbor.quarantined()


def test_a_worker_killed_in_the_middle_of_a_thousand_touches_loses_and_repeats_no_alert(
    harbor: Town,
) -> None:
    watch(harbor, "Lockhart")
    before = harbor.quarantined()
    watched = [f"E-{n}" for n in range(0, 1000, 10)]
    rows = [
        john(f"E-{n}", "Lockhart") if n % 10 == 0 else f"E-{n},arrest,,Name{n},G{n},1970-01-01,,,"
        for n in range(1000)
    ]
    publish(harbor, *rows[:300])
    kill(harbor)
    publish(harbor, *rows[300:600])
    harbor.start_worker("second")
    publish(harbor, *rows[600:])
    kill(harbor)
    harbor.start_worker("third")
    found = active(harbor, "Lockhart")
    assert sorted(a["record_number"] for a in found) == sorted(watched)
    assert len({a["alert_id"] for a in found}) == len(watched)
    assert harbor.quarantined() == before


def test_a_redis_that_lost_everything_is_filled_from_kafka_before_a_watch_looks_back(
    harbor: Town,
) -> None:
    publish(harbor, john("F-1", "Marchbanks"), john("F-2", "Marchbanks"))
    harbor.run("agency", "retract", "F-2", *harbor.of("harbor", "agency"))
    harbor.wait_until_matched()
    with Redis.from_url(harbor.redis) as client:
        client.flushall()
    watch(harbor, "Marchbanks")
    wait_until(lambda: active(harbor, "Marchbanks"), "an alert")
    assert [a["record_number"] for a in active(harbor, "Marchbanks")] == ["F-1"]


def test_pointers_are_rebuilt_by_one_command_and_the_status_shows_the_exchange(
    harbor: Town,
) -> None:
    publish(harbor, john("G-1", "Thistlewood"))
    harbor.wait_until_matched()
    said = harbor.run("exchange", "rebuild-pointers", *harbor.exchange)
    assert "pointers rebuilt from" in said

    def whole() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            harbor.run("exchange", "status", "--json", *harbor.exchange)
        )
        behind = [each["pointers_behind"] for each in found["partitions"]]
        return found if found["workers"] and not any(behind) else {}

    status = wait_until(whole, "a whole index")
    assert status["lag"] == 0
    assert {each["worker"] for each in status["partitions"]} == {status["workers"][0]["name"]}
    assert status["workers"][0]["watches"] > 0
    assert status["quarantine"].keys() <= {"forged_sender"}
    watch(harbor, "Thistlewood")
    wait_until(lambda: active(harbor, "Thistlewood"), "an alert")


def test_a_quarantined_touch_is_taken_by_command_once_its_agency_is_enrolled(
    harbor: Town,
) -> None:
    watch(harbor, "Sedgewick")
    before = harbor.quarantined()
    at = ["--bootstrap", harbor.kafka.bootstrap_servers, "--local-key", str(harbor.key)]
    folder = harbor.folder / "millbrook"
    harbor.run("agency", "init", folder, "--ori", "MA0140200", "--name", "Millbrook", *at)
    harbor.run("partner", "trust", folder / "signer.json", *harbor.of("fbi", "partner"))
    records = harbor.folder / "records.csv"
    records.write_text(HEAD + john("H-1", "Sedgewick") + "\n", encoding="utf-8")
    harbor.publish("millbrook", records, mapping=harbor.folder / "map.toml")
    harbor.wait_until_matched()
    assert len(harbor.quarantined()) == len(before) + 1
    harbor.run("exchange", "quarantine", "retry", *harbor.exchange)
    harbor.run("exchange", "enrol", "agency", folder / "sender.json", *harbor.exchange)

    def taken() -> bool:
        harbor.run("exchange", "quarantine", "retry", *harbor.exchange)
        return places(harbor.quarantined()) == places(before)

    wait_until(taken, "the touch to leave quarantine")
    assert [a["record_number"] for a in alerts(harbor, "Sedgewick")] == ["H-1"]


def places(quarantined: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Where they lie: what is refused again is listed again, at the end."""
    return {(each["partition"], each["offset"]) for each in quarantined}


def kill(made: Town) -> None:
    """Kill the worker at once, wherever it is."""
    made.workers[-1].send_signal(signal.SIGKILL)
    made.workers[-1].wait()
