"""Planned operations on Apache Kafka and Redis, from the seat of each who has to know of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.areas import AreaPlan
from schemas.topics import CONFLICTS
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from silenthit.errors import SettingsError
from tests.town import Town, town, wait_until

pytestmark = pytest.mark.slow

TONIGHT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=30)


@pytest.fixture(scope="module")
def shore(module_kafka: KafkaSettings, redis_server: str, tmp_path_factory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("shore"), module_kafka, redis_server) as made:
        made.add_agency("harbor", "MA0130100")
        for name in ("fbi", "hsi", "dea"):
            made.add_partner(name, "harbor")
        made.start_worker()
        yield made


def at(lat: float, hours: float = 0, radius_m: float = 200) -> AreaPlan:
    """Three hours of a night, so many hours later than the one that is watched begins."""
    begin = TONIGHT + timedelta(hours=hours)
    return AreaPlan(lat=lat, lon=-71.05, radius_m=radius_m,
                    starts_at=begin, ends_at=begin + timedelta(hours=3))  # fmt: skip


def plan(made: Town, number: str, where: AreaPlan, *, of: str = "harbor", more: str = "") -> None:
    """Publish an operation of an agency's, or move it."""
    path = made.folder / f"{number}.toml"
    path.write_text(
        f'number = "{number}"\nplace = "Seaview Motel"\n'
        f"starts_at = {where.starts_at.isoformat()}\nends_at = {where.ends_at.isoformat()}\n"
        'contact = { name = "Sgt. Lee", phone = "860-555-0199", unit = "Vice" }\n'
        'supervisor = { name = "Lt. Ortiz", phone = "860-555-0150" }\n'
        f"[area]\nlat = {where.lat}\nlon = {where.lon}\nradius_m = {where.radius_m}\n"
        f"{more}",
        "utf-8",
    )
    made.run("agency", "operation", "add", path, *made.of(of, "agency"))


def watch_place(made: Town, partner: str, lat: float, label: str) -> None:
    words = ["--legal-basis", "order of 2026-10-20", "--stated-by", "SA Reyes", "--label", label]
    words += ["--area", f"{lat}, -71.05", "--radius", "300", "--distance", "500"]
    until = TONIGHT + timedelta(hours=3)
    words += ["--starts", TONIGHT.isoformat(), "--ends", until.isoformat()]
    made.run("watch", "add", *words, *made.of(partner, "partner"))


def heard(made: Town, partner: str) -> dict[str, tuple[str, str]]:
    """What a partner holds of each operation: triage's decision, and whether it stands."""
    return {
        each["record_number"]: (each["decision"], each["status"]) for each in made.alerts(partner)
    }


def hears(made: Town, partner: str, number: str, what: tuple[str, str]) -> None:
    wait_until(lambda: heard(made, partner).get(number) == what, f"{partner} to hear of {number}")


def story(made: Town, partner: str, number: str) -> str:
    (found,) = (each for each in made.alerts(partner) if each["record_number"] == number)
    shown = made.run("alerts", "show", found["alert_id"], *made.of(partner, "partner"))
    return " ".join(shown.replace("│", " ").split())


def test_a_partner_s_area_is_told_of_an_operation_there_before_it_begins_and_nobody_else_is(
    shore: Town,
) -> None:
    watch_place(shore, "fbi", 42.36, "the pier")
    watch_place(shore, "dea", 42.86, "another town")
    plan(shore, "OP-NEAR", at(42.3691))  # 1,012 m away, where 1,000 count
    plan(shore, "OP-ELSEWHERE", at(42.46))
    plan(shore, "OP-LATER", at(42.36, hours=5))
    plan(shore, "OP-MEETS", at(42.3650))  # 556 m away, and both last
    hears(shore, "fbi", "OP-MEETS", ("hit", "active"))
    shore.wait_until_matched()
    others = {number: what for number, what in heard(shore, "fbi").items() if number != "OP-MEETS"}
    assert set(others) <= {"OP-NEAR"}  # what the blind rule brings is discarded before a page
    assert set(others.values()) <= {("discarded", "active")}
    assert heard(shore, "dea") == {}
    shown = story(shore, "fbi", "OP-MEETS")
    for text in ("call before it begins", "860-555-0199", "56 m from the place you watch"):
        assert text in shown

    watch_place(shore, "hsi", 42.36, "the same pier")  # after the operations: by look-back
    hears(shore, "hsi", "OP-MEETS", ("hit", "active"))

    plan(shore, "OP-MEETS", at(42.46))  # it moves away, and back
    hears(shore, "fbi", "OP-MEETS", ("hit", "withdrawn"))
    hears(shore, "hsi", "OP-MEETS", ("hit", "withdrawn"))
    plan(shore, "OP-MEETS", at(42.3650))
    hears(shore, "fbi", "OP-MEETS", ("hit", "active"))
    shore.run("agency", "operation", "cancel", "OP-MEETS", *shore.of("harbor", "agency"))
    for partner in ("fbi", "hsi"):
        wait_until(lambda of=partner: "OP-MEETS" not in heard(shore, of), "it to be purged")
        assert "retracted" in {each["status"] for each in shore.alerts(partner)}
    assert heard(shore, "dea") == {}


AGENCIES = {"north": "CT0009900", "south": "RI0040100", "inland": "VT0040100"}
ANA = '[[subject]]\nsurname = "Quimby"\ngiven = "Ana"\nbirth_dates = ["1990-02-03"]\n'


@pytest.fixture(scope="module")
def coast(shore: Town) -> Town:
    """Three agencies that trust each other's signatures, and the process that tells them."""
    for name, ori in AGENCIES.items():
        shore.add_agency(name, ori)
    for name in AGENCIES:
        signers = [shore.folder / other / "signer.json" for other in AGENCIES if other != name]
        shore.run("agency", "trust", *signers, *shore.of(name, "agency"))
    shore.start_conflicts()
    return shore


def known(made: Town, agency: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What an agency knows of conflicts: by its own operation, and the other's number."""
    made.run("agency", "operation", "conflicts", "receive", *made.of(agency, "agency"))
    words = ("agency", "operation", "conflicts", "list", "--all", "--json")
    found = json.loads(made.run(*words, *made.of(agency, "agency")))["conflicts"]
    return {(each["operation"], each["case_number"]): each for each in found}


def status(made: Town, agency: str, own: str, other: str) -> str:
    return known(made, agency).get((own, other), {}).get("status", "")


def both_know(made: Town, ours: tuple[str, str], theirs: tuple[str, str], what: str) -> None:
    """Wait until each of two agencies, given with its operation, knows of the other's."""
    for (agency, own), (_, other) in ((ours, theirs), (theirs, ours)):
        wait_until(
            lambda a=agency, o=own, t=other: status(made, a, o, t) == what, f"{agency}: {what}"
        )


def told(made: Town, agency: str) -> list[Message]:
    """All that was ever written for an agency."""
    topic = CONFLICTS.of(AGENCIES[agency].lower())
    with TopicReader(made.kafka, [topic], client_id="test") as reader:
        return [message for messages in reader.read_to_end() for message in messages]


def test_two_agencies_in_each_others_way_are_both_told_whom_to_call_and_a_third_nothing(
    coast: Town,
) -> None:
    plan(coast, "I-PLACE", at(41.0, hours=10), of="inland")  # there, when they are gone
    plan(coast, "I-TIME", at(41.5), of="inland")  # then, in another town
    plan(coast, "N-1", at(41.0), of="north")
    plan(coast, "S-1", at(41.004, hours=1), of="south")
    both_know(coast, ("north", "N-1"), ("south", "S-1"), "active")
    north, south = known(coast, "north"), known(coast, "south")
    assert [*north, *south] == [("N-1", "S-1"), ("S-1", "N-1")]
    seen = north["N-1", "S-1"]
    assert (seen["ori"], seen["name"], seen["phone"]) == ("RI0040100", "Sgt. Lee", "860-555-0199")
    assert seen["supervisor"] == "Lt. Ortiz, 860-555-0150"
    assert seen["overlaps"] == south["S-1", "N-1"]["overlaps"]
    assert seen["overlaps"][0].startswith("place and time: 445 m apart")
    shown = coast.run(
        "agency", "operation", "conflicts", "show", seen["id"][:8], *coast.of("north", "agency")
    )
    assert "860-555-0199" in shown
    one, other = told(coast, "north"), told(coast, "south")
    assert [each.key for each in one] == [each.key for each in other]
    assert len({len(each.value or b"") for each in (*one, *other)}) == 1
    assert known(coast, "inland") == {}
    assert told(coast, "inland") == []


def test_one_person_in_two_operations_is_a_conflict_wherever_they_are(coast: Town) -> None:
    plan(coast, "N-2", at(40.1, hours=30), of="north", more=ANA)
    plan(coast, "I-2", at(43.1, hours=60), of="inland", more=ANA.replace("Quimby", "Quimbey"))
    both_know(coast, ("north", "N-2"), ("inland", "I-2"), "active")
    assert known(coast, "north")["N-2", "I-2"]["overlaps"] == ["subject: Ana Quimby"]
    assert known(coast, "inland")["I-2", "N-2"]["overlaps"] == ["subject: Ana Quimbey"]


def test_moves_and_cancellations_withdraw_and_a_process_that_takes_over_tells_nobody_twice(
    coast: Town,
) -> None:
    plan(coast, "N-3", at(40.5), of="north")
    plan(coast, "S-3", at(40.5), of="south")
    both_know(coast, ("north", "N-3"), ("south", "S-3"), "active")
    before = {name: len(told(coast, name)) for name in AGENCIES}
    first = coast.workers[-1]
    coast.start_conflicts("anew")
    plan(coast, "S-3", at(40.9), of="south")  # away
    both_know(coast, ("north", "N-3"), ("south", "S-3"), "withdrawn")
    assert {name: len(told(coast, name)) - count for name, count in before.items()} == {
        "north": 1, "south": 1, "inland": 0}  # fmt: skip
    plan(coast, "S-3", at(40.5), of="south")  # and back
    both_know(coast, ("north", "N-3"), ("south", "S-3"), "active")
    coast.run("agency", "operation", "cancel", "S-3", *coast.of("south", "agency"))
    both_know(coast, ("north", "N-3"), ("south", "S-3"), "withdrawn")
    assert first.wait(30) == SettingsError.exit_code, "it could not tell them, too"
    book = coast.run("exchange", "conflicts", "--book", "--json", *coast.exchange)
    lines = [json.loads(line) for line in book.splitlines()]
    ours = [line["what"] for line in lines if line["agencies"] == ["ct0009900", "ri0040100"]
            or line["agencies"] == ["ri0040100", "ct0009900"]]  # fmt: skip
    assert ours == ["told", "told", "withdrawn", "told", "withdrawn"]
    assert "Quimb" not in book
