"""Read single messages again by their place: topic, partition, offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from confluent_kafka import Consumer, KafkaError, TopicPartition

from silenthit.bus.connection import Message, failure
from silenthit.bus.reader import NO_GROUP, message_of, reader_properties
from silenthit.bus.settings import KafkaSettings
from silenthit.errors import RetryError

_NEAR = 20  # offsets this close are read through rather than sought
_WAIT_S = 10.0
# One message is wanted of what a broker returns; a larger one still comes whole (KIP-74).
_FETCH_BYTES = 2**16
_FETCH_WAIT_MS = 1


class PlaceReader:
    """Reads messages by place, without a consumer group. One caller at a time."""

    def __init__(self, settings: KafkaSettings, *, client_id: str) -> None:
        """Open nothing yet: the connection is made at the first fetch."""
        properties = reader_properties(settings, client_id)
        # A seek waits for the fetch that is open: one that waits for new messages would hold it up.
        own = {"fetch.message.max.bytes": _FETCH_BYTES, "fetch.wait.max.ms": _FETCH_WAIT_MS}
        self._consumer = Consumer({**properties, **own})

    def fetch(self, topic: str, places: Iterable[tuple[int, int]]) -> list[Message]:
        """Return the messages that still lie at these (partition, offset), ordered by place.

        A place that retention or compaction has emptied gives nothing.
        Raises RetryError when the broker does not answer.
        """
        waiting = {
            partition: _runs([offset for _, offset in grouped])
            for partition, grouped in groupby(sorted(set(places)), key=lambda place: place[0])
        }
        found: list[Message] = []
        while turn := {
            partition: run for partition, runs in waiting.items() if (run := next(runs, []))
        }:
            found += self._turn(topic, turn)
        self._consumer.unassign()  # or it would go on fetching what nobody asked for
        return sorted(found, key=lambda message: (message.partition, message.offset))

    def _turn(self, topic: str, runs: Mapping[int, list[int]]) -> Iterator[Message]:
        """Read one run of each partition, all at once: a seek costs more than what it finds."""
        wanted = {(partition, offset) for partition, run in runs.items() for offset in run}
        last = {partition: run[-1] for partition, run in runs.items()}
        self._consumer.assign([TopicPartition(topic, each, run[0]) for each, run in runs.items()])
        while last:
            raw = self._consumer.poll(_WAIT_S)
            if raw is None:
                raise RetryError(
                    f"expected an answer of the broker within {_WAIT_S:.0f} s; try again"
                )
            error = raw.error()
            if error is None:
                message = message_of(raw)
                if (message.partition, message.offset) in wanted:
                    yield message
                if message.offset >= last.get(message.partition, message.offset + 1):
                    del last[message.partition]
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 librdkafka's own code
                last = {each: end for each, end in last.items() if each != raw.partition()}
            elif error.code() != NO_GROUP:
                raise failure(error, f"read {topic} again")

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


def _runs(offsets: list[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for offset in offsets:
        if run and offset - run[-1] > _NEAR:
            yield run
            run = []
        run.append(offset)
    if run:
        yield run
