"""Everything that one principal can list, describe or fetch at the brokers, as a flat record.

Each field of each response has a path, such as `topics/alerts.x/partitions/0/leader`; what can't be
asked is recorded too, by the broker's refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from silenthit.bus.clients import KafkaSettings, Message
from silenthit.bus.reader import TopicReader
from silenthit.bus.rights import granted
from silenthit.errors import SilentHitError

ASK_S = 10
Fields = dict[str, Any]
Decoder = Callable[[str, bytes], Iterable[tuple[str, Any]]]
Rank = Callable[[str, Message], Any]


def observe(
    settings: KafkaSettings, suspected: Iterable[str], decode: Decoder, rank: Rank
) -> Fields:
    """Ask all there is to ask.

    `suspected` are topics that the principal has heard of, visible or not; `decode` opens what a
    message of a topic says to whoever may read it; `rank` orders the messages of a topic.
    """
    admin = AdminClient(settings.properties("observer"))
    fields: Fields = {}
    metadata = admin.list_topics(timeout=ASK_S)
    visible = sorted(metadata.topics)
    _add(fields, "metadata", _metadata(metadata))
    for name in sorted({*suspected, *visible}):
        _add(fields, f"asked/{name}", _asked(admin, settings, name))
    _add(fields, "cluster", _cluster(admin))
    _add(fields, "groups", _groups(admin))
    _add(fields, "rights", _rights(settings))
    for name in visible:
        _add(fields, f"messages/{name}", _messages(settings, name, decode, rank))
    return fields


def _add(fields: Fields, head: str, found: Iterable[tuple[str, Any]]) -> None:
    for path, value in found:
        fields[f"{head}/{path}"] = value


def _answer(ask: Callable[[], Any]) -> Any:
    """Return the answer, or the name of the broker's refusal."""
    try:
        return ask()
    except KafkaException as error:
        return error.args[0].name()
    except SilentHitError as error:
        return type(error).__name__


def _metadata(found: Any) -> Iterator[tuple[str, Any]]:
    yield "cluster_id", found.cluster_id
    yield "controller_id", found.controller_id
    yield "origin_broker", found.orig_broker_id
    for number, broker in sorted(found.brokers.items()):
        yield f"brokers/{number}", broker.host
        yield f"brokers/{number}/port", broker.port
    yield "topics", tuple(sorted(found.topics))
    for name, topic in sorted(found.topics.items()):
        yield f"topics/{name}/error", topic.error and topic.error.name()
        for number, part in sorted(topic.partitions.items()):
            yield f"topics/{name}/{number}/leader", part.leader
            yield f"topics/{name}/{number}/replicas", tuple(part.replicas)
            yield f"topics/{name}/{number}/in_sync", tuple(part.isrs)


def _asked(admin: AdminClient, settings: KafkaSettings, name: str) -> Iterator[tuple[str, Any]]:
    """Ask about one topic by name: description, settings, offsets."""
    topic = admin.list_topics(name, timeout=ASK_S).topics[name]
    yield "error", topic.error and topic.error.name()
    yield "partitions", len(topic.partitions)
    resource = ConfigResource(ResourceType.TOPIC, name)
    found = _answer(lambda: admin.describe_configs([resource])[resource].result(ASK_S))
    if isinstance(found, dict):
        for key, entry in sorted(found.items()):
            yield f"settings/{key}", entry.value
    else:
        yield "settings", found
    for number in sorted(topic.partitions) or [0]:
        place = TopicPartition(name, number)
        for which in ("earliest", "latest", "max_timestamp"):
            spec = getattr(OffsetSpec, which)()
            result = _answer(lambda: admin.list_offsets({place: spec})[place].result(ASK_S))  # noqa: B023 asked at once
            yield f"offsets/{number}/{which}", getattr(result, "offset", result)
            yield f"offsets/{number}/{which}/time", getattr(result, "timestamp", None)


def _cluster(admin: AdminClient) -> Iterator[tuple[str, Any]]:
    found = _answer(lambda: admin.describe_cluster().result(ASK_S))
    if isinstance(found, str):
        yield "error", found
        return
    yield "nodes", tuple(node.id for node in found.nodes)
    yield "controller", found.controller.id


def _groups(admin: AdminClient) -> Iterator[tuple[str, Any]]:
    found = admin.list_consumer_groups(request_timeout=ASK_S).result(ASK_S)
    yield "listed", tuple(sorted(group.group_id for group in found.valid))
    yield "errors", tuple(sorted(error.args[0].name() for error in found.errors))
    for name in ("exchange", "silenthit"):
        asked = admin.describe_consumer_groups([name])[name]
        described = _answer(lambda: asked.result(ASK_S))  # noqa: B023 asked at once
        yield f"{name}/state", described if isinstance(described, str) else str(described.state)


def _rights(settings: KafkaSettings) -> Iterator[tuple[str, Any]]:
    found = _answer(lambda: granted(settings))
    yield "listed", found if isinstance(found, str) else tuple(sorted(map(str, found)))


def _messages(
    settings: KafkaSettings, name: str, decode: Decoder, rank: Rank
) -> Iterator[tuple[str, Any]]:
    """Fetch a topic whole; a refusal is what there is to see of one that may not be read."""
    reader = TopicReader(settings, [name], client_id="observer")
    try:
        found = [message for some in reader.read_to_end() for message in some]
    except SilentHitError as error:
        yield "refused", type(error).__name__
        return
    finally:
        reader.close()
    yield "count", len(found)
    # Between records of different partitions the order is that of the worker's fetches.
    for number, message in enumerate(sorted(found, key=lambda each: rank(name, each))):
        place = f"{message.partition}/{number}"
        yield f"{place}/timestamp", message.timestamp_ms
        yield f"{place}/key/length", len(message.key or b"")
        yield f"{place}/key", (message.key or b"").hex()
        yield f"{place}/headers", tuple((key, len(value)) for key, value in message.headers)
        yield f"{place}/value/length", len(message.value or b"")
        if message.value is not None:
            for path, value in decode(name, message.value):
                yield f"{place}/value/{path}", value
