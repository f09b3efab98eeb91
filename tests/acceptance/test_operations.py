"""Planned operations on Apache Kafka and Redis, from the seat of each who has to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from schemas.areas import AreaPlan
from silenthit.bus.clients import KafkaSettings
from tests.town import Town, town, wait_until

pytestmark = pytest.mark.slow

TONIGHT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=30)


@pytest.fixture(scope="module")
def shore(module_kafka: KafkaSettings, redis_server: str, tmp_path_factory) -> Iterator[Town]:
    with Redis.from_url(redis_server) as client:
        client.flushall()
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


def plan(made: Town, number: str, where: AreaPlan) -> None:
    """Publish an operation of harbor's, or move it."""
    path = made.folder / f"{number}.toml"
    path.write_text(
        f'number = "{number}"\nplace = "Seaview Motel"\n'
        f"starts_at = {where.starts_at.isoformat()}\nends_at = {where.ends_at.isoformat()}\n"
        'contact = { name = "Sgt. Lee", phone = "860-555-0199", unit = "Vice" }\n'
        'supervisor = { name = "Lt. Ortiz", phone = "860-555-0150" }\n'
        f"[area]\nlat = {where.lat}\nlon = {where.lon}\nradius_m = {where.radius_m}\n",
        "utf-8",
    )
    made.run("agency", "operation", "add", path, *made.of("harbor", "agency"))


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
