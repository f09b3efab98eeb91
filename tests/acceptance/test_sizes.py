"""A touch at the limits of size and above, on Apache Kafka: alerted, set aside, or quarantined."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from redis import Redis

from schemas.topics import TOUCHES
from silenthit.bus.clients import KafkaSettings
from silenthit.bus.sender import SenderKey, sender_headers
from stream_processors.admission import MOST_TOUCH_BYTES
from tests.town import Town, town, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MAPPING = """
[columns]
record_number = "No"
kind = "Type"
role = "Role"
surname = "Last"
given = "First"
birth_date = "DOB"
narrative = "Text"
[formats]
date = "%Y-%m-%d"
"""
WATCH = """
[[watch]]
label = "Quill"
legal_basis = "affidavit"
[[watch.subject]]
surname = "Quill"
given = "John"
birth_dates = ["1980-01-02"]
"""
WORDS = "Seen at the motel. "
# Parts are padded to powers of two: beyond half a million characters a touch has a million bytes.
FITS, DOES_NOT_FIT = 520_000, 530_000


@pytest.fixture(scope="module")
def harbor(module_kafka: KafkaSettings, redis_server: str, tmp_path_factory) -> Iterator[Town]:
    with Redis.from_url(redis_server) as client:
        client.flushall()  # another test's checkpoints are of another cluster
    with town(tmp_path_factory.mktemp("town"), module_kafka, redis_server) as made:
        made.add_agency("harbor", "MA0130100")
        made.add_partner("fbi", "harbor")
        (made.folder / "map.toml").write_text(MAPPING, encoding="utf-8")
        made.watch("fbi", WATCH)
        made.start_worker()
        yield made


def publish(made: Town, number: str, length: int, code: int = 0) -> str:
    path = made.folder / f"{number}.csv"
    text = (WORDS * (length // len(WORDS) + 1))[:length]
    row = f"{number},arrest,suspect,Quill,John,1980-01-02,{text}"
    path.write_text(f"No,Type,Role,Last,First,DOB,Text\n{row}\n", "utf-8")
    mapping = ["--mapping", str(made.folder / "map.toml")]
    return made.run("agency", "publish", path, *mapping, *made.of("harbor", "agency"), code=code)


def test_the_largest_narrative_comes_through_and_a_larger_one_is_set_aside(harbor: Town) -> None:
    assert "1 confirmed" in publish(harbor, "large", FITS)
    assert "0 confirmed" in publish(harbor, "larger", DOES_NOT_FIT, code=2)
    (alert,) = wait_until(lambda: harbor.alerts("fbi"), "the alert")
    assert alert["record_number"] == "large"
    assert "1 confirmed" in publish(harbor, "usual", 100)
    wait_until(lambda: len(harbor.alerts("fbi")) == 2, "the alert of what came after it")
    assert harbor.quarantined() == []


def test_what_is_larger_than_a_broker_takes_is_refused_by_it(harbor: Town) -> None:
    assert _sent(harbor, 2 * MOST_TOUCH_BYTES) == KafkaError.MSG_SIZE_TOO_LARGE


def test_where_brokers_take_more_the_worker_refuses_what_is_above_its_limit(harbor: Town) -> None:
    _let_topic_take(harbor.kafka, 4 * MOST_TOUCH_BYTES)
    assert _sent(harbor, MOST_TOUCH_BYTES + 1) is None
    assert _sent(harbor, MOST_TOUCH_BYTES) is None
    found = wait_until(lambda: len(harbor.quarantined()) == 2 and harbor.quarantined(), "both")
    assert sorted(each["reason"] for each in found) == ["too_large", "undecodable"]
    publish(harbor, "after", 100)
    numbers = {"large", "usual", "after"}
    wait_until(lambda: {a["record_number"] for a in harbor.alerts("fbi")} == numbers, "the alert")


def _sent(made: Town, size: int) -> int | None:
    """Send that many bytes as the agency, whatever the client thinks; return the broker's error."""
    told = json.loads((made.folder / "harbor" / "sender.json").read_text("utf-8"))
    sender, key = SenderKey(told["key_id"], bytes.fromhex(told["secret"])), b"k" * 16
    errors: list[KafkaError | None] = []
    more = {"message.max.bytes": 16 * MOST_TOUCH_BYTES, "acks": "all"}
    producer = Producer({"bootstrap.servers": made.kafka.bootstrap_servers, **more})
    headers = list(sender_headers(sender, key, bytes(size)))
    producer.produce(
        TOUCHES.name, bytes(size), key, headers=headers, on_delivery=lambda e, _: errors.append(e)
    )
    assert producer.flush(30) == 0
    return errors[0].code() if errors[0] else None


def _let_topic_take(kafka: KafkaSettings, most: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(most), incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, TOUCHES.name, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in admin.incremental_alter_configs([topic]).values():
        future.result(20)
