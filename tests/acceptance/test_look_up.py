"""Look-up on Apache Kafka and Redis, from every seat: who asks, who is asked, who watches, others.

One town; each test looks at what its own party can read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from schemas import codec
from schemas.inquiries import Answer
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from tests.town import Town, town, wait_until

pytestmark = pytest.mark.slow

MAPPING = """
[columns]
record_number = "No"
kind = "Type"
occurred_at = "At"
role = "Role"
surname = "Last"
given = "First"
birth_date = "DOB"
phone = "Phone"
officer = "Officer"
officer_phone = "Call"
unit = "Unit"
case_number = "Case"
[formats]
date = "%Y-%m-%d"
datetime = "%Y-%m-%d %H:%M"
"""
HEAD = "No,Type,At,Role,Last,First,DOB,Phone,Officer,Call,Unit,Case\n"
QUILL = ("--surname", "Quillfeather", "--given", "John", "--birth-date", "1980-01-02")
OXEN = ("--surname", "Oxenbrook", "--given", "Mary", "--birth-date", "1991-07-30")
WATCH = """
[[watch]]
label = "heron"
legal_basis = "affidavit"
[[watch.subject]]
surname = "Quillfeather"
given = "John"
birth_dates = ["1980-01-02"]
"""
RECORDS = {
    "millbrook": [
        (
            "M-1,arrest,2026-03-05 22:10,arrestee,Quillfeather,John,1980-01-02,802-555-0142,"
            "Sgt. Ames,802-555-0101,Vice,26-9"
        ),
        (
            "M-2,traffic_stop,2026-05-01 09:00,suspect,Quillfeather,John,1980-01-02,,"
            "Sgt. Ames,802-555-0101,Vice,26-31"
        ),
        (
            "M-3,victim_contact,2026-04-11 01:00,victim,Oxenbrook,Mary,1991-07-30,,"
            "Ofc. Dunn,802-555-0102,SVU,26-15"
        ),
    ],
    "harbor": [
        (
            "H-1,field_contact,2026-06-02 23:00,contact,Quillfeather,John,1980-01-02,,"
            "Ofc. Roe,802-555-0177,Patrol,26-44"
        ),
    ],
}


@pytest.fixture(scope="module")
def valley(module_kafka: KafkaSettings, redis_server: str, tmp_path_factory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("valley")
    with town(folder, module_kafka, redis_server) as made:
        with (folder / "exchange" / "exchange.toml").open("a", encoding="utf-8") as config:
            config.write("\n[look_up.organisations.hsi]\nper_hour = 2\n")
        (folder / "map.toml").write_text(MAPPING, encoding="utf-8")
        for name, ori in (
            ("harbor", "MA0130100"),
            ("millbrook", "MA0140200"),
            ("ash", "MA0150300"),
        ):
            made.add_agency(name, ori)
        for name in ("fbi", "hsi"):
            made.add_partner(name, "harbor", "millbrook", "ash")
        signers = [folder / each / "signer.json" for each in ("harbor", "millbrook")]
        made.run("agency", "trust", *signers, *made.of("ash", "agency"))
        made.start_worker()
        made.start_answering()
        for name, lines in RECORDS.items():
            path = folder / f"{name}.csv"
            path.write_text(HEAD + "".join(f"{each}\n" for each in lines), encoding="utf-8")
            made.publish(name, path, mapping=folder / "map.toml")
        made.watch("fbi", WATCH)
        made.wait_until_matched()
        yield made


def answers(made: Town, organisation: str) -> list[Message]:
    """Everything that one organisation was ever answered."""
    with TopicReader(made.kafka, [f"answers.{organisation}"], client_id="test") as reader:
        return [message for messages in reader.read_to_end() for message in messages]


def alerts(made: Town, partner: str) -> list[dict[str, Any]]:
    made.wait_until_matched()
    return made.alerts(partner)


def called(found: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    return [
        (
            each["name"],
            each["phone"],
            [f"{t['kind']} {t['month']} {t['case_number']}" for t in each["touches"]],
        )
        for each in found["contacts"]
    ]


def test_the_asking_officer_reads_whom_to_call_the_most_recent_first(valley: Town) -> None:
    found = valley.look_up("ash", *QUILL)
    assert called(found) == [
        ("Ofc. Roe", "802-555-0177", ["field_contact 2026-06 26-44"]),
        ("Sgt. Ames", "802-555-0101", ["traffic_stop 2026-05 26-31", "arrest 2026-03 26-9"]),
    ]
    assert {each["ori"] for each in found["contacts"]} == {"MA0130100", "MA0140200"}
    assert (found["more"], found["unknown_signers"], found["unopened"]) == (False, {}, 0)
    victim = valley.look_up("ash", *OXEN)
    assert called(victim) == [("Ofc. Dunn", "802-555-0102", ["victim_contact 2026-04 26-15"])]
    assert called(valley.look_up("ash", "--phone", "802-555-0142")) == [
        ("Sgt. Ames", "802-555-0101", ["arrest 2026-03 26-9"])
    ]
    nobody = valley.look_up(
        "ash", "--surname", "Nobody", "--given", "Nora", "--birth-date", "1970-01-01"
    )
    assert nobody["contacts"] == []


def test_the_auditor_reads_of_every_answer_who_asked_and_what_it_held(valley: Town) -> None:
    before = len(disclosed(valley))
    valley.look_up("ash", *OXEN)
    partner_look_up(valley, "fbi", *OXEN)
    by_agency, by_partner = disclosed(valley)[before:]
    assert (by_agency["what"], by_agency["status"]) == ("answer", "answered")
    assert (by_agency["agency"], by_partner["agency"]) == ("MA0150300", "")
    assert len(by_agency["records"]) == 32  # one card, in hex
    assert "fbi" not in json.dumps(by_partner)
    valley.run("exchange", "disclosures", "verify", *valley.exchange)


def disclosed(made: Town) -> list[dict[str, Any]]:
    listed = made.run("exchange", "disclosures", "list", *made.exchange).splitlines()
    return [each for each in map(json.loads, listed) if each["what"] == "answer"]


def test_a_card_of_an_agency_whose_key_is_not_at_hand_is_named_and_not_shown(valley: Town) -> None:
    found = valley.look_up("harbor", *OXEN)
    assert found["contacts"] == []
    assert found["unknown_signers"] == {"MA0140200": 1}


def test_the_partner_who_watches_learns_who_asked_and_nobody_finds_it_by_asking(
    valley: Town,
) -> None:
    valley.look_up("ash", *QUILL)
    told = wait_until(
        lambda: [a for a in alerts(valley, "fbi") if a["kind"] == "inquiry"], "who asked"
    )
    assert {alert["agency"] for alert in told} == {"Ash"}
    again = valley.look_up("harbor", *QUILL)
    assert "inquiry" not in json.dumps(again)
    assert alerts(valley, "hsi") == []


def test_watched_and_unwatched_are_answered_alike_to_the_byte_class(valley: Town) -> None:
    """The partner watches the first; nobody watches the others, of whom one was never met."""
    before = len(answers(valley, "ma0150300"))
    valley.look_up("ash", *QUILL)
    valley.look_up("ash", *OXEN)
    valley.look_up("ash", "--phone", "802-555-0188")
    seen = answers(valley, "ma0150300")[before:]
    assert len(seen) == 3
    assert len({len(message.value or b"") for message in seen}) == 1
    assert len({len(codec.decode(m.value or b"", Answer).sealed) for m in seen}) == 1
    assert {tuple(name for name, _ in message.headers) for message in seen} == {()}


def test_the_asked_agency_sees_nothing_of_it(valley: Town) -> None:
    mine = len(answers(valley, "ma0140200"))
    valley.look_up("ash", *QUILL)
    assert len(answers(valley, "ma0140200")) == mine


def test_the_operator_reads_no_name_number_or_case_and_no_more_than_who_asked_how_much(
    valley: Town, redis_server: str
) -> None:
    valley.look_up("ash", *QUILL, "--unit", "Major Cases")
    topics = ["touches", "inquiries.ma0150300", "answers.ma0150300", "quarantine"]
    with TopicReader(valley.kafka, topics, client_id="operator") as reader:
        found = [m for messages in reader.read_to_end() for m in messages]
    held = b"".join((m.key or b"") + (m.value or b"") for m in found)
    with Redis.from_url(redis_server) as client:
        held += b"".join(client.keys())
    book = (valley.folder / "exchange" / "data" / "look-ups.jsonl").read_bytes()
    held += book + valley.worker_log("answer").encode()
    for secret in (b"Quill", b"quill", b"Oxen", b"Lee", b"802555", b"555-01", b"26-7", b"Major"):
        assert secret not in held
    lines = valley.run("exchange", "lookups", "--json", *valley.exchange).splitlines()
    summed = [json.loads(line) for line in lines]
    assert {each["organisation"] for each in summed} >= {"ma0150300"}
    assert all(
        each.keys() == {"day", "organisation", "purpose", "status", "look_ups", "cards"}
        for each in summed
    )
    assert valley.quarantined() == []


def test_the_asking_agency_keeps_its_own_record_of_who_looked_up_whom_and_why(
    valley: Town,
) -> None:
    valley.look_up("harbor", *OXEN)
    lines = valley.run("agency", "lookups", "--json", *valley.of("harbor", "agency")).splitlines()
    last = json.loads(lines[-1])
    assert (last["officer"], last["purpose"], last["case_number"], last["status"]) == (
        "Det. Lee",
        "investigation",
        "harbor-26-7",
        "answered",
    )
    assert "Oxenbrook" in json.dumps(last["subject"])
    stored = (valley.folder / "harbor" / "outbox.db").read_bytes()
    assert b"Oxenbrook" not in stored


def partner_look_up(made: Town, partner: str, *words: str, code: int = 0) -> dict[str, Any]:
    fixed = ["--purpose", "victim_safety", "--case-number", "50A-1", "--json"]
    printed = made.run("lookup", *words, *fixed, *made.of(partner, "partner"), code=code)
    return json.loads(printed) if code == 0 else {}


def held(made: Town, topic: str) -> int:
    with TopicReader(made.kafka, [topic], client_id="count") as reader:
        return sum(len(messages) for messages in reader.read_to_end())


def test_a_partners_look_up_is_no_touch_and_no_pointer_and_nobody_is_told(
    valley: Town, redis_server: str
) -> None:
    valley.wait_until_matched()
    with Redis.from_url(redis_server) as client:
        touches, pointers = held(valley, "touches"), sorted(client.keys("[rt]:*"))
        told = alerts(valley, "fbi")
        found = partner_look_up(valley, "hsi", *QUILL)
        assert ("Ofc. Roe", "802-555-0177", ["field_contact 2026-06 26-44"]) in called(found)
        assert held(valley, "touches") == touches
        assert sorted(client.keys("[rt]:*")) == pointers
    assert alerts(valley, "fbi") == told
    log = valley.run("partner", "audit", "--json", *valley.of("hsi", "partner"))
    assert "looked_up" in log


def test_a_publication_is_found_under_its_cover_by_who_asks_until_it_is_withdrawn(
    valley: Town,
) -> None:
    nora = ("--surname", "Wychwood", "--given", "Nora", "--birth-date", "1995-05-06")
    card = ("--cover", "Task Force 7", "--contact", "Desk", "--call", "203-555-0100")
    at = valley.of("fbi", "partner")
    made = json.loads(valley.run("publish", "contact", *nora, *card, "--json", *at))
    found = wait_until(lambda: valley.look_up("ash", *nora)["contacts"], "the publication")
    assert [(c["agency"], c["name"], c["phone"], c["published"]) for c in found] == [
        ("Task Force 7", "Desk", "203-555-0100", True)
    ]
    assert "fbi" not in json.dumps(found)
    (listed,) = json.loads(valley.run("publish", "list", "--json", *at))
    assert (listed["publication_id"], listed["sent"]) == (made["publication_id"], True)
    valley.run("publish", "withdraw", made["publication_id"][:8], *at)
    wait_until(lambda: not valley.look_up("ash", *nora)["contacts"], "the withdrawal")
    assert json.loads(valley.run("publish", "list", "--json", *at)) == []


def test_a_spent_quota_is_said_clearly_and_the_others_are_not_held_up(valley: Town) -> None:
    partner_look_up(valley, "hsi", *OXEN)  # the second of two in this hour
    partner_look_up(valley, "hsi", *OXEN, code=4)
    assert valley.look_up("ash", *OXEN)["contacts"]


def test_an_answering_process_that_was_killed_answers_what_came_meanwhile(valley: Town) -> None:
    first = valley.workers[-1]
    first.kill()
    first.wait()
    valley.look_up("ash", *OXEN, "--wait", "1", code=4)
    valley.start_answering("second")
    wait_until(lambda: len(answers(valley, "ma0150300")) > 0, "an answer")
    assert valley.look_up("ash", *OXEN)["contacts"]
    asked = held(valley, "inquiries.ma0150300")
    wait_until(lambda: len(answers(valley, "ma0150300")) >= asked, "every answer")
