"""Create and check topics, and wait for a broker."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, not in its __all__
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from schemas.topics import Topic
from silenthit.bus.connection import failure
from silenthit.bus.settings import KafkaSettings
from silenthit.errors import RetryError, SettingsError

ASK_S = 10.0
POLL_S = 0.05
REPLICAS = 3  # where there are brokers enough: one may be away, and a second break
BROKERS_CHOICE = -1  # as many replicas as `default.replication.factor` says
EMBEDDED = "mockCluster"  # begins the cluster id of librdkafka's mock cluster

Wanted = Mapping[str, Topic]


def wait_until_ready(settings: KafkaSettings, timeout: float = 30.0) -> None:
    """Return once a broker answers. Raises RetryError after `timeout` s."""
    admin = AdminClient(settings.properties("ready"))
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        try:
            if admin.list_topics(timeout=max(0.1, min(1.0, left))).brokers:
                return
        except KafkaException as error:
            if left <= 0:
                raise RetryError(
                    f"expected a broker at {settings.bootstrap_servers} within {timeout:g} s, got "
                    f"{error.args[0].name()}; start it, or correct `bootstrap_servers`"
                ) from None


def is_embedded(settings: KafkaSettings) -> bool:
    """Whether this is the embedded broker. Raises RetryError when it does not answer."""
    return cluster_id(settings).startswith(EMBEDDED)


def cluster_id(settings: KafkaSettings) -> str:
    """Return what the cluster calls itself. Raises RetryError when it does not answer."""
    try:
        cluster = AdminClient(settings.properties("silenthit-admin")).list_topics(timeout=ASK_S)
    except KafkaException as error:
        raise failure(error.args[0], "list topics") from None
    return str(cluster.cluster_id)


def committed_offsets(settings: KafkaSettings, group: str, topic: str) -> dict[int, int]:
    """Return, for each partition of a topic, the next offset of a consumer group; at first 0.

    Raises RetryError when the broker does not answer, RefusedError without the right.
    """
    # The admin client's own call ends the process when the group's coordinator has just moved
    # (librdkafka 2.16: rd_kafka_cgrp_op of a client without a group). A consumer that does not
    # subscribe asks the same and joins nothing.
    asking = Consumer(settings.properties("silenthit-admin", group_id=group))
    try:
        known = asking.list_topics(topic, timeout=ASK_S).topics[topic].partitions
        found = asking.committed([TopicPartition(topic, each) for each in known], timeout=ASK_S)
    except KafkaException as error:
        raise failure(error.args[0], f"ask how far {group} is") from None
    finally:
        asking.close()
    if failed := next((place.error for place in found if place.error), None):
        raise failure(failed, f"ask how far {group} is")
    return {place.partition: max(0, place.offset) for place in found}


def end_offsets(settings: KafkaSettings, topic: str) -> dict[int, int]:
    """Return, for each partition of a topic, the offset that comes next there.

    Raises RetryError when the broker does not answer, RefusedError without the right.
    """
    admin = AdminClient(settings.properties("silenthit-admin"))
    try:
        known = admin.list_topics(topic, timeout=ASK_S).topics[topic].partitions
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = {TopicPartition(topic, number): latest for number in known}
        found = admin.list_offsets(places)
        return {place.partition: each.result(ASK_S).offset for place, each in found.items()}
    except KafkaException as error:
        raise failure(error.args[0], f"ask for the end of {topic}") from None


def create_topics(
    settings: KafkaSettings,
    topics: Iterable[tuple[Topic, str]],
    *,
    replication: int = BROKERS_CHOICE,
    timeout: float = 30.0,
) -> None:
    """Create the topics that do not exist, and wait until all have leaders.

    `topics` pairs a row of the table with the topic's name on this bus. Without `replication` the
    brokers choose. Raises SettingsError when a topic exists with other partitions or another
    configuration, or where three brokers chose fewer than three replicas; RefusedError without the
    right, RetryError when the broker does not answer in `timeout` s. On the embedded broker topics
    are only touched: it knows no configuration.
    """
    wanted = {name: topic for topic, name in topics}
    admin = AdminClient(settings.properties("topics"))
    try:
        cluster = admin.list_topics(timeout=min(ASK_S, timeout))
        if str(cluster.cluster_id).startswith(EMBEDDED):
            _touch(settings, wanted)
            return
        _create(admin, {name: wanted[name] for name in wanted.keys() - cluster.topics}, replication)
        found = _wait_for_leaders(admin, wanted, timeout)
        _check(wanted, found, _configurations(admin, wanted, timeout))
        if replication == BROKERS_CHOICE:
            _check_replicas(len(cluster.brokers), found)
    except KafkaException as error:
        raise failure(error.args[0], "create topics") from None


def topic_partitions(settings: KafkaSettings, topic: str, timeout: float = ASK_S) -> int:
    """Return how many partitions a topic has. Raises RetryError when no broker answers.

    Raises SettingsError when the topic is not there, or not for this client to see.
    """
    try:
        found = AdminClient(settings.properties("check")).list_topics(timeout=timeout)
    except KafkaException as error:
        raise failure(error.args[0], "ask for the topics") from None
    if topic not in found.topics:
        raise SettingsError(
            f"expected the topic {topic}, got none that this client may see; ask the operator to "
            "run `silenthit exchange topics` and to enrol this organisation"
        )
    return len(found.topics[topic].partitions)


def _touch(settings: KafkaSettings, wanted: Wanted) -> None:
    producer = Producer(settings.properties("topics"))
    for name in wanted:
        producer.list_topics(name, timeout=ASK_S)


def _create(admin: AdminClient, missing: Wanted, replication: int) -> None:
    new = [
        NewTopic(
            name,
            num_partitions=topic.partitions,
            replication_factor=replication,
            config=topic.config,
        )
        for name, topic in missing.items()
    ]
    for future in admin.create_topics(new).values() if new else ():
        try:
            future.result(ASK_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _wait_for_leaders(admin: AdminClient, wanted: Wanted, timeout: float) -> dict[str, Any]:
    """Return each topic's partitions by number, once each has a leader."""
    deadline = time.monotonic() + timeout
    while True:
        known = admin.list_topics(timeout=ASK_S).topics
        ready = {
            name: known[name].partitions for name in wanted if name in known and _led(known[name])
        }
        if len(ready) == len(wanted):
            return ready
        if time.monotonic() > deadline:
            names = ", ".join(sorted(wanted.keys() - ready))
            raise RetryError(
                f"expected leaders within {timeout:g} s, got none for {names}; try again"
            )
        time.sleep(POLL_S)


def _led(topic: Any) -> bool:
    return bool(topic.partitions) and all(part.leader >= 0 for part in topic.partitions.values())


def _configurations(admin: AdminClient, wanted: Wanted, timeout: float) -> dict[str, Any]:
    """Ask how each topic is configured; of several brokers one may not know it yet."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
    deadline = time.monotonic() + timeout
    while True:
        asked = admin.describe_configs(resources) if resources else {}
        try:
            return {resource.name: each.result(ASK_S) for resource, each in asked.items()}
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)


def _check(wanted: Wanted, found: Mapping[str, Any], configured: Mapping[str, Any]) -> None:
    differences = [
        f"{name} has {len(found[name])} partitions, not {topic.partitions}"
        for name, topic in wanted.items()
        if len(found[name]) != topic.partitions
    ]
    for name, topic in wanted.items():
        differences += [
            f"{name} has {key}={_value(configured[name], key)}, not {value}"
            for key, value in topic.config.items()
            if _words(_value(configured[name], key)) != _words(value)
        ]
    if differences:
        raise SettingsError(
            f"expected topics as in schemas/topics.py, got others: {'; '.join(differences)}; "
            "change them with the broker's own tools, or recreate them"
        )


def _check_replicas(brokers: int, found: Mapping[str, Any]) -> None:
    few = sorted(
        name
        for name, partitions in found.items()
        if any(len(each.replicas) < REPLICAS for each in partitions.values())
    )
    if few and brokers >= REPLICAS:
        raise SettingsError(
            f"expected {REPLICAS} replicas on {brokers} brokers, got fewer of "
            f"{', '.join(few)}; set default.replication.factor={REPLICAS} and min.insync.replicas="
            f"{REPLICAS - 1} at the brokers, and make these topics anew"
        )


def _value(found: Mapping[str, Any], key: str) -> str:
    return str(found[key].value) if key in found else "nothing"


def _words(value: str) -> set[str]:
    """A list in a configuration has no order: `compact,delete` is `delete,compact`."""
    return set(value.split(","))
