"""One suite for the clients over both brokers, Apache Kafka and the embedded one."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient

from silenthit.bus.clients import KafkaSettings, Message, Publisher, TopicReader
from silenthit.errors import InputError, RetryError

pytestmark = pytest.mark.filterwarnings("error")

FreshTopic = Callable[..., str]


def read_all(reader: TopicReader, count: int, within: float = 15.0) -> list[Message]:
    deadline = time.monotonic() + within
    messages: list[Message] = []
    while len(messages) < count and time.monotonic() < deadline:
        messages += reader.read(1000, 0.2)
    return messages


def read_to_end(reader: TopicReader, within: float = 15.0) -> list[Message]:
    deadline = time.monotonic() + within
    messages: list[Message] = []
    while not reader.caught_up():
        assert time.monotonic() < deadline
        messages += reader.read(1000, 0.2)
    return messages


def publish(settings: KafkaSettings, topic: str, count: int, first: int = 0) -> None:
    with Publisher(settings, client_id="test") as publisher:
        futures = [publisher.send(topic, b"k%d" % i, b"v%d" % i) for i in range(first, count)]
    for future in futures:
        future.result(0)


def test_what_is_published_is_read_with_its_key_value_and_headers(
    bus: KafkaSettings, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic()
    headers = (("sender", b"TX1234567#1"), ("mac", bytes(32)))
    with Publisher(bus, client_id="test") as publisher:
        delivered = publisher.send(topic, b"key", b"value", headers=headers).result(10)
    with TopicReader(bus, [topic], client_id="test") as reader:
        (message,) = read_all(reader, 1)
    assert (message.key, message.value, message.headers) == (b"key", b"value", headers)
    assert (message.topic, message.partition, message.offset) == (
        delivered.topic,
        delivered.partition,
        delivered.offset,
    )


def test_a_tombstone_has_no_value(bus: KafkaSettings, fresh_topic: FreshTopic) -> None:
    topic = fresh_topic()
    with Publisher(bus, client_id="test") as publisher:
        publisher.send(topic, b"key", None).result(10)
    with TopicReader(bus, [topic], client_id="test") as reader:
        (message,) = read_all(reader, 1)
    assert message.value is None


def test_messages_of_one_key_keep_their_order(bus: KafkaSettings, fresh_topic: FreshTopic) -> None:
    topic = fresh_topic(partitions=4)
    with Publisher(bus, client_id="test") as publisher:
        for number in range(500):
            publisher.send(topic, b"key", b"%d" % number)
        publisher.flush(20)
    with TopicReader(bus, [topic], client_id="test") as reader:
        messages = read_all(reader, 500)
    assert [message.value for message in messages] == [b"%d" % number for number in range(500)]
    assert len({message.partition for message in messages}) == 1


def test_a_key_goes_to_the_partition_that_the_java_client_would_choose(
    bus: KafkaSettings, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic(partitions=4)
    # Kafka's UtilsTest.testMurmur2: murmur2("21") = -973932308, "foobar" = -790332482; the
    # partition is the lower 31 bits modulo 4.
    expected = {b"21": (-973932308 & 0x7FFFFFFF) % 4, b"foobar": (-790332482 & 0x7FFFFFFF) % 4}
    with Publisher(bus, client_id="test") as publisher:
        chosen = {key: publisher.send(topic, key, b"v").result(10).partition for key in expected}
    assert chosen == expected


def test_a_partition_can_be_chosen(bus: KafkaSettings, fresh_topic: FreshTopic) -> None:
    topic = fresh_topic(partitions=4)
    with Publisher(bus, client_id="test") as publisher:
        delivered = publisher.send(topic, b"key", b"value", partition=3).result(10)
    assert delivered.partition == 3


def test_a_message_too_large_fails_its_own_future_and_no_other(
    bus: KafkaSettings, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic()
    with Publisher(bus, client_id="test") as publisher:
        large = publisher.send(topic, b"key", bytes(5_000_000))
        small = publisher.send(topic, b"key", b"value")
        assert small.result(10).offset == 0
        with pytest.raises(InputError, match="smaller"):
            large.result(10)


def test_a_partition_that_is_not_there_fails_the_future(
    bus: KafkaSettings, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic()
    with Publisher(bus, client_id="test") as publisher:
        publisher.send(topic, b"key", b"value").result(10)
        with pytest.raises(InputError, match="create the topics"):
            publisher.send(topic, b"key", b"value", partition=99).result(40)


def test_a_closed_publisher_accepts_nothing(bus: KafkaSettings, fresh_topic: FreshTopic) -> None:
    publisher = Publisher(bus, client_id="test")
    publisher.close()
    with pytest.raises(RetryError, match="closed"):
        publisher.send(fresh_topic(), b"key", b"value").result(0)


def test_a_reader_begins_at_the_offsets_it_is_given(
    bus: KafkaSettings, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic()
    with Publisher(bus, client_id="test") as publisher:
        for number in range(10):
            publisher.send(topic, b"key", b"%d" % number, partition=0)
    with TopicReader(bus, [topic], client_id="test", start={(topic, 0): 7}) as reader:
        assert [message.offset for message in read_to_end(reader)] == [7, 8, 9]
        assert reader.positions()[topic, 0] == 10


def test_an_empty_topic_is_caught_up_at_once(bus: KafkaSettings, fresh_topic: FreshTopic) -> None:
    with TopicReader(bus, [fresh_topic(partitions=3)], client_id="test") as reader:
        assert reader.caught_up()


def test_caught_up_means_that_all_there_was_has_been_handed_out(
    bus: KafkaSettings, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic(partitions=4)
    publish(bus, topic, 1000)
    with TopicReader(bus, [topic], client_id="test") as reader:
        assert not reader.caught_up()
        assert len(read_to_end(reader)) == 1000


def test_a_start_at_the_end_is_caught_up(bus: KafkaSettings, fresh_topic: FreshTopic) -> None:
    topic = fresh_topic()
    with Publisher(bus, client_id="test") as publisher:
        publisher.send(topic, b"key", b"value", partition=0).result(10)
    with TopicReader(bus, [topic], client_id="test", start={(topic, 0): 1}) as reader:
        assert reader.caught_up()
        assert reader.read(10, 0.3) == []


def test_read_returns_no_more_than_asked_and_loses_nothing(
    bus: KafkaSettings, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic()
    publish(bus, topic, 50)
    sizes, keys = [], set()
    with TopicReader(bus, [topic], client_id="test") as reader:
        while not reader.caught_up():
            batch = reader.read(7, 1.0)
            sizes.append(len(batch))
            keys |= {message.key for message in batch}
    assert max(sizes) <= 7
    assert len(keys) == 50


def test_read_returns_as_soon_as_there_is_something(
    bus: KafkaSettings, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic()
    with (
        Publisher(bus, client_id="test") as publisher,
        TopicReader(bus, [topic], client_id="test") as reader,
    ):
        reader.read(1, 0.1)
        publisher.send(topic, b"key", b"value").result(10)
        begun = time.monotonic()
        assert len(reader.read(1000, 20.0)) == 1
        assert time.monotonic() - begun < 5


def test_topics_can_be_added(bus: KafkaSettings, fresh_topic: FreshTopic) -> None:
    first, second = fresh_topic(), fresh_topic()
    publish(bus, first, 3)
    publish(bus, second, 5)
    with TopicReader(bus, [first], client_id="test") as reader:
        assert len(read_to_end(reader)) == 3
        reader.add_topics([second])
        assert not reader.caught_up()
        assert {message.topic for message in read_to_end(reader)} == {second}


def test_a_topic_that_appears_later_is_read_from_its_beginning(
    bus: KafkaSettings, fresh_topic: FreshTopic
) -> None:
    there = fresh_topic()
    later = f"{there}-later"
    with TopicReader(bus, [there, later], client_id="test") as reader:
        assert reader.missing() == {later}
        assert not reader.caught_up()
        admin_create(bus, later)
        publish(bus, later, 4)
        assert len(read_all(reader, 4)) == 4
        read_to_end(reader)
        assert reader.missing() == frozenset()


def test_new_partitions_are_read(kafka: KafkaSettings) -> None:
    topic = "grows"
    admin_create(kafka, topic)
    with TopicReader(kafka, [topic], client_id="test", discover_every=0.1) as reader:
        assert reader.caught_up()
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        from confluent_kafka.admin import NewPartitions

        admin.create_partitions([NewPartitions(topic, 3)])[topic].result(10)
        while len(admin.list_topics(topic, timeout=5).topics[topic].partitions) < 3:
            pass
        with Publisher(kafka, client_id="test") as publisher:
            publisher.send(topic, b"key", b"value", partition=2).result(20)
        (message,) = read_all(reader, 1)
        assert message.partition == 2


def test_a_reader_leaves_no_consumer_group_behind(kafka: KafkaSettings) -> None:
    topic = "unseen"
    admin_create(kafka, topic)
    publish(kafka, topic, 5)
    with TopicReader(kafka, [topic], client_id="test") as reader:
        read_to_end(reader)
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        groups = admin.list_consumer_groups().result(10)
        assert not [group.group_id for group in groups.valid if "reader" in group.group_id]


def test_reprs_show_no_content(bus: KafkaSettings, fresh_topic: FreshTopic) -> None:
    topic = fresh_topic()
    with Publisher(bus, client_id="test") as publisher:
        publisher.send(topic, b"KEY", b"VALUE", headers=[("h", b"HEADER")]).result(10)
    with TopicReader(bus, [topic], client_id="test") as reader:
        (message,) = read_all(reader, 1)
    assert not {"KEY", "VALUE", "HEADER"} & set(repr(message).replace("'", " ").split())
    assert "VALUE" not in repr(message)
    settings = KafkaSettings(bootstrap_servers="b:1", security={"sasl.password": "hunter2"})
    assert "hunter2" not in repr(settings)


def admin_create(settings: KafkaSettings, topic: str) -> None:
    from schemas.topics import Bus, Topic
    from silenthit.bus.admin import create_topics

    row = Topic(name=topic, key="key", bus=Bus.AGENCY, writers=frozenset(), readers=frozenset())
    create_topics(settings, [(row, topic)])


def test_what_is_there_is_read_though_another_topic_is_not(
    bus: KafkaSettings, fresh_topic: Callable[..., str]
) -> None:
    topic = fresh_topic()
    with Publisher(bus, client_id="writer") as publisher:
        publisher.send(topic, b"k", b"v").result(30)
    with TopicReader(bus, [topic, f"{topic}-absent"], client_id="reader") as reader:
        read = [message.value for messages in reader.read_to_end() for message in messages]
        assert read == [b"v"]
        assert reader.missing() == {f"{topic}-absent"}
        assert not reader.caught_up()


def test_a_broker_that_is_away_does_not_count_as_an_empty_topic() -> None:
    away = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with (
        TopicReader(away, ["touches"], client_id="reader") as reader,
        pytest.raises(RetryError, match="expected the broker"),
    ):
        list(reader.read_to_end())
