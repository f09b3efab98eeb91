"""From record to alert on Apache Kafka: repeated, corrected, retracted, forged, through a kill."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from silenthit.bus.clients import KafkaSettings, Publisher
from tests.town import Town, town

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
label = "Heron"
legal_basis = "affidavit"
[[watch.subject]]
surname = "Quillfeather"
given = "John"
birth_dates = ["1980-01-02"]
"""


@pytest.fixture
def harbor(tmp_path: Path, fresh_kafka: KafkaSettings, redis_url: str) -> Iterator[Town]:
    with town(tmp_path / "town", fresh_kafka, redis_url) as made:
        made.add_agency("harbor", "MA0130100")
        made.add_partner("fbi", "harbor")
        (tmp_path / "map.toml").write_text(MAPPING, encoding="utf-8")
        yield made


def publish(made: Town, *rows: str) -> None:
    path = made.folder / "records.csv"
    path.write_text(HEAD + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    made.publish("harbor", path, mapping=made.folder.parent / "map.toml")


def john(number: str = "H-1", birth_date: str = "1980-01-02", text: str = "") -> str:
    return f"{number},arrest,suspect,Quillfeather,John,{birth_date},,,{text}"


def test_a_record_published_twice_is_one_alert_and_a_correction_updates_it(harbor: Town) -> None:
    harbor.watch("fbi", WATCH)
    harbor.start_worker()
    publish(harbor, john(), john("H-2"))
    publish(harbor, john(), john("H-2"))
    harbor.wait_until_matched()
    first = harbor.alerts("fbi")
    assert sorted((a["record_number"], a["revision"], a["status"]) for a in first) == [
        ("H-1", 1, "active"),
        ("H-2", 1, "active"),
    ]
    publish(harbor, john(text="He had a second phone."))
    harbor.wait_until_matched()
    second = {a["record_number"]: a for a in harbor.alerts("fbi")}
    assert second.keys() == {"H-1", "H-2"}
    assert (second["H-1"]["revision"], second["H-1"]["status"]) == (2, "active")
    assert second["H-1"]["alert_id"] in {a["alert_id"] for a in first}


def test_a_correction_that_no_longer_matches_withdraws_and_a_retraction_purges(
    harbor: Town,
) -> None:
    harbor.watch("fbi", WATCH)
    harbor.start_worker()
    publish(harbor, john(), john("H-2"))
    harbor.wait_until_matched()
    harbor.alerts("fbi")
    publish(harbor, "H-1,arrest,suspect,Oxenbrook,Mary,1991-07-30,,,")
    harbor.run("agency", "retract", "H-2", *harbor.of("harbor", "agency"))
    harbor.wait_until_matched()
    assert sorted((a["revision"], a["status"]) for a in harbor.alerts("fbi")) == [
        (2, "retracted"),
        (2, "withdrawn"),
    ]


def test_a_watch_placed_after_the_touch_looks_back(harbor: Town) -> None:
    harbor.start_worker()
    publish(harbor, john(), "H-9,arrest,suspect,Oxenbrook,Mary,1991-07-30,,,")
    harbor.wait_until_matched()
    harbor.watch("fbi", WATCH)
    publish(harbor, john("H-3"))
    harbor.wait_until_matched()
    found = {a["record_number"]: a["earlier"] for a in harbor.alerts("fbi")}
    assert found == {"H-1": True, "H-3": False}


def test_a_touch_whose_code_is_not_its_senders_is_quarantined_and_the_stream_goes_on(
    harbor: Town,
) -> None:
    harbor.watch("fbi", WATCH)
    harbor.start_worker()
    with Publisher(harbor.kafka, client_id="forger") as forger:
        headers = [("sender", b"MA0130100#1"), ("mac", b"0" * 32)]
        place = forger.send("touches", b"r" * 16, b"forged", headers=headers).result()
    publish(harbor, john())
    harbor.wait_until_matched()
    assert [a["record_number"] for a in harbor.alerts("fbi")] == ["H-1"]
    assert harbor.quarantined() == [
        {
            "topic": "touches",
            "partition": place.partition,
            "offset": place.offset,
            "reason": "forged_sender",
            "worker": "worker",
        }
    ]


def test_a_worker_killed_in_the_middle_of_a_thousand_touches_loses_and_repeats_no_alert(
    harbor: Town,
) -> None:
    harbor.watch("fbi", WATCH)
    worker = harbor.start_worker("first")
    watched = [f"H-{n}" for n in range(0, 1000, 10)]
    rows = [
        john(f"H-{n}") if n % 10 == 0 else f"H-{n},arrest,suspect,Name{n},Given{n},1970-01-01,,,"
        for n in range(1000)
    ]
    publish(harbor, *rows[:300])
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    publish(harbor, *rows[300:600])
    worker = harbor.start_worker("second")
    publish(harbor, *rows[600:])
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    harbor.start_worker("third")
    harbor.wait_until_matched()
    found = harbor.alerts("fbi")
    assert sorted(a["record_number"] for a in found) == sorted(watched)
    assert len({a["alert_id"] for a in found}) == len(watched)
    assert harbor.quarantined() == []
