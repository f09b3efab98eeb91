"""Creating topics: what Apache Kafka really has afterwards, and what is said when it differs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient

from schemas.topics import ALERTS, TOPICS, TOUCHES, WATCHES, Topic
from silenthit.bus.admin import create_topics, wait_until_ready
from silenthit.bus.clients import KafkaSettings, Publisher, TopicReader
from silenthit.errors import RetryError, SettingsError
from tests.services import free_port


def every_topic() -> list[tuple[Topic, str]]:
    return [(row, row.of("fbi-c7") if "{org}" in row.name else row.name) for row in TOPICS]


def test_the_whole_table_is_created_and_creating_it_again_changes_nothing(
    fresh_kafka: KafkaSettings,
) -> None:
    for _ in range(2):
        create_topics(fresh_kafka, every_topic())
    known = AdminClient({"bootstrap.servers": fresh_kafka.bootstrap_servers}).list_topics(timeout=9)
    assert {name: len(known.topics[name].partitions) for _, name in every_topic()} == {
        name: row.partitions for row, name in every_topic()
    }


def test_time_is_the_brokers_append_time(kafka: KafkaSettings) -> None:
    create_topics(kafka, [(WATCHES, "watches.clock")])
    with Publisher(kafka, client_id="test") as publisher:
        delivered = publisher.send("watches.clock", b"key", b"value").result(10)
    with TopicReader(kafka, ["watches.clock"], client_id="test") as reader:
        messages = []
        while not messages:
            messages = reader.read(1, 1.0)
    assert messages[0].timestamp_ms == delivered.timestamp_ms


def test_other_partitions_than_wanted_are_named(kafka: KafkaSettings) -> None:
    create_topics(kafka, [(TOUCHES, "few")])
    with pytest.raises(SettingsError, match="few has 8 partitions, not 9"):
        create_topics(kafka, [(replace(TOUCHES, partitions=9), "few")])


def test_another_configuration_than_wanted_is_named(kafka: KafkaSettings) -> None:
    create_topics(kafka, [(WATCHES, "other")])
    with pytest.raises(SettingsError, match=r"other has cleanup\.policy=compact, not "):
        create_topics(kafka, [(ALERTS, "other")])


def test_a_broker_that_is_not_there_is_waited_for_and_then_named() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(RetryError, match=address):
        wait_until_ready(KafkaSettings(bootstrap_servers=address), 0.5)


def test_without_a_broker_creating_topics_asks_to_try_again() -> None:
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
    with pytest.raises(RetryError):
        create_topics(settings, [(TOUCHES, "touches")], timeout=0.5)
