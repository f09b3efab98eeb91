"""After a retraction nothing is left: alerts, look-up, look-back, Redis, and the brokers' files.

What is looked for was found there before, so each of these checks can fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from redis import Redis

from schemas import codec
from schemas.messages import SubjectTouch
from schemas.packing import LOCK, TOKEN, rows
from schemas.topics import ALERTS, TOUCHES
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from tests.services import start_kafka, stop_kafka
from tests.town import Town, town, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

MAPPING = """
[columns]
record_number = "No"
kind = "Type"
role = "Role"
surname = "Last"
given = "First"
birth_date = "DOB"
officer = "Officer"
officer_phone = "Call"
narrative = "Text"
[formats]
date = "%Y-%m-%d"
"""
HEAD = "No,Type,Role,Last,First,DOB,Officer,Call,Text\n"
WATCH = """
[[watch]]
label = "{label}"
legal_basis = "affidavit"
[[watch.subject]]
surname = "Quillfeather"
given = "John"
birth_dates = ["1980-01-02"]
"""
JOHN = "Quillfeather,John,1980-01-02,Sgt. Lee,802-555-0199,"
# Days of a real cluster's life in a second: any append closes a segment, and a closed one is
# cleaned at once.
HASTY = {
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.0001",
    "delete.retention.ms": "100",
    "file.delete.delay.ms": "100",
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[tuple[KafkaSettings, Path]]:
    folder = tmp_path_factory.mktemp("kafka")
    addresses = start_kafka(folder, "--config", "log.cleaner.backoff.ms=100")
    try:
        yield KafkaSettings(bootstrap_servers=addresses["CLIENT"]), folder
    finally:
        stop_kafka(folder)


@pytest.fixture(scope="module")
def harbor(
    broker: tuple[KafkaSettings, Path], redis_server: str, tmp_path_factory
) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("harbor")
    with Redis.from_url(redis_server) as client:
        client.flushall()
    with town(folder, broker[0], redis_server) as made:
        (folder / "map.toml").write_text(MAPPING, encoding="utf-8")
        made.add_agency("harbor", "MA0130100")
        made.add_partner("fbi", "harbor")
        made.start_worker()
        made.start_answering()
        yield made


def publish(made: Town, *lines: str) -> None:
    path = made.folder / "records.csv"
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    made.publish("harbor", path, mapping=made.folder / "map.toml")


def touch_of(made: Town, others: set[bytes]) -> Message:
    """The one touch on the topic whose record is none of these."""
    with TopicReader(made.kafka, [TOUCHES.name], client_id="test") as reader:
        found = [each for messages in reader.read_to_end() for each in messages]
    [touch] = [each for each in found if each.key not in others]
    return touch


def traces(touch: Message) -> list[bytes]:
    """What only this record's touch has: its id, tokens, locks and sealed parts, in pieces."""
    assert touch.key is not None
    assert touch.value is not None
    sealed = codec.decode(touch.value, SubjectTouch)
    tokens = [row["token"].tobytes() for row in rows(sealed.tokens, TOKEN)]
    locks = [row["wrapped"].tobytes() for row in rows(sealed.locks, LOCK)]
    return [touch.key, *tokens, *locks, *(part[:64] for part in sealed.parts)]


def in_files(folder: Path, topic: str, wanted: list[bytes]) -> int:
    """How many of these bytes stand in the files of a topic's partitions, deleted ones too."""
    files = [
        each for each in folder.rglob("*") if each.is_file() and f"/{topic}-" in each.as_posix()
    ]
    content = b"".join(each.read_bytes() for each in files)
    assert len(content) > 0
    return sum(piece in content for piece in wanted)


def in_redis(url: str, wanted: list[bytes]) -> int:
    """How many of these stand in a key or a value of the pointer index."""
    read: dict[bytes, Any] = {
        b"string": lambda redis, key: [redis.get(key)],
        b"list": lambda redis, key: redis.lrange(key, 0, -1),
        b"hash": lambda redis, key: [part for each in redis.hgetall(key).items() for part in each],
        b"set": lambda redis, key: list(redis.smembers(key)),
        b"zset": lambda redis, key: redis.zrange(key, 0, -1),
    }
    with Redis.from_url(url) as redis:
        content = [
            part
            for key in redis.scan_iter(count=10_000)
            for part in (key, *read[redis.type(key)](redis, key))
        ]
    packed = b"\0".join(content)
    return sum(piece in packed for piece in wanted)


def labelled(made: Town) -> set[tuple[str | None, str]]:
    return {(each["record_number"], each["label"]) for each in made.alerts("fbi")}


def hasten(kafka: KafkaSettings, *topics: str) -> None:
    admin = AdminClient(kafka.properties("test"))
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        for key, value in HASTY.items()
    ]
    resources = [
        ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries) for topic in topics
    ]
    for done in admin.incremental_alter_configs(resources).values():
        done.result()


def fill(made: Town, turn: int) -> None:
    """Give every partition of both topics messages, so that earlier segments are closed."""
    publish(
        made, *(f"F-{turn}-{number},arrest,suspect,{JOHN}filler {turn}" for number in range(60))
    )
    made.wait_until_matched()


def test_nothing_of_a_retracted_record_is_left_anywhere(
    harbor: Town, broker: tuple[KafkaSettings, Path], redis_server: str
) -> None:
    kafka, folder = broker
    harbor.watch("fbi", WATCH.format(label="heron"))
    publish(harbor, f"R-1,arrest,suspect,{JOHN}stays")
    stays = touch_of(harbor, set())
    publish(harbor, f"R-2,arrest,suspect,{JOHN}goes")
    goes = touch_of(harbor, {stays.key or b""})
    harbor.wait_until_matched()
    john = ("--surname", "Quillfeather", "--given", "John", "--birth-date", "1980-01-02")

    def seen() -> list[str]:
        """Record numbers of the first watch's alerts; a look-up is an inquiry, and alerts too."""
        numbers = [number or "purged" for number, label in labelled(harbor) if label == "heron"]
        return sorted(each for each in numbers if not each.startswith("inquiry-"))

    def looked_up() -> int:
        contacts = harbor.look_up("harbor", *john)["contacts"]
        return sum(len(each["touches"]) for each in contacts)

    alert_topic = ALERTS.of("fbi")
    parts = [piece for piece in traces(goes) if len(piece) == 64]
    # A row of the index (stream_processors/pointer_rows.py): eight bytes of a token, the record.
    pointed = [piece[1:9] + traces(goes)[0] for piece in traces(goes)[1:] if len(piece) == 16]
    assert seen() == ["R-1", "R-2"]
    assert looked_up() == 2
    assert in_files(folder, TOUCHES.name, traces(goes)) == len(traces(goes))
    assert in_files(folder, alert_topic, parts) == len(parts)
    assert in_redis(redis_server, pointed) == len(pointed)

    harbor.run("agency", "retract", "R-2", *harbor.of("harbor", "agency"))
    harbor.wait_until_matched()
    assert seen() == ["R-1", "purged"]
    assert looked_up() == 1
    harbor.watch("fbi", WATCH.format(label="second"))
    wait_until(lambda: ("R-1", "second") in labelled(harbor), "look-back to find what stays")
    assert ("R-2", "second") not in labelled(harbor)
    assert in_redis(redis_server, pointed) == 0

    hasten(kafka, TOUCHES.name, alert_topic)
    sealed = [piece for piece in traces(goes) if len(piece) in (40, 64)]
    turns = count(1)

    def compacted() -> bool:
        fill(harbor, next(turns))
        left = in_files(folder, TOUCHES.name, [goes.key or b"", *sealed])
        return left + in_files(folder, alert_topic, parts) == 0

    wait_until(compacted, "the brokers' files to hold nothing of it", 600)
    kept = [piece for piece in traces(stays) if len(piece) in (16, 40, 64)]
    assert in_files(folder, TOUCHES.name, kept) == len(kept)
