"""Rebuild the pointer index from the touches in Kafka."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from schemas.topics import TOUCHES
from silenthit.bus.admin import cluster_id, committed_offsets
from silenthit.errors import SettingsError
from stream_processors.checkpoint import Checkpoints
from stream_processors.kafka_logs import KafkaLogs
from stream_processors.match_worker import MatchWorker
from stream_processors.outgoing import Outgoing
from stream_processors.pointers import Pointers
from stream_processors.sent import SentLog
from stream_processors.settings import ExchangeSettings, Organisations
from stream_processors.watch_index import WatchIndex

POINTERS = (b"t:*", b"r:*", b"w:*")
CUT = (b"checkpoint:*", b"clusters")
AT_ONCE = 1_000


class _NoOutbound:
    async def send(self, messages: Sequence[Outgoing]) -> None:
        raise AssertionError(f"expected nobody to be told, got {len(messages)} messages")


async def rebuild(settings: ExchangeSettings, redis: Any, passed: Callable[[int], None]) -> int:
    """Drop every pointer, then point to each touch that was matched; return how many there were.

    Workers may go on meanwhile: they notice, and wait. A Redis that was filled beside another Kafka
    cluster loses its checkpoints, too, so that every watch looks back anew. `passed` is told how
    many touches were read each time.
    """
    agency = settings.bus.agency
    reached = committed_offsets(agency, settings.name, TOUCHES.name)
    bound_to = {
        "agency": cluster_id(agency),
        "partner": cluster_id(settings.bus.partner),
        "partitions": str(len(reached)),
    }
    await drop(redis, POINTERS)
    try:
        await Checkpoints(redis).bind(bound_to)
    except SettingsError:
        await drop(redis, CUT)
        await Checkpoints(redis).bind(bound_to)
    pointers = Pointers(redis)
    worker = MatchWorker(
        name="rebuild",
        index=WatchIndex(),
        sent=SentLog(),
        pointers=pointers,
        outbound=_NoOutbound(),
        keys=Organisations.load(settings.organisations).sender_keys(),
        epochs=settings.known_epochs(),
    )
    logs = KafkaLogs(settings.bus, name="rebuild", partners=tuple, applied=dict)
    count = 0
    for partition, end in reached.items():
        if not end:
            continue
        async for messages in logs.touches(partition, 0, end):
            await worker.point_again(messages)
            count += len(messages)
            passed(len(messages))
        await pointers.advance(partition, end)
    return count


async def drop(redis: Any, patterns: Sequence[bytes]) -> None:
    """Delete every key of these patterns, on every node of a cluster."""
    for pattern in patterns:
        keys: list[bytes] = []
        async for key in redis.scan_iter(match=pattern, count=AT_ONCE):
            keys.append(key)
            if len(keys) == AT_ONCE:
                await redis.delete(*keys)
                keys = []
        if keys:
            await redis.delete(*keys)
