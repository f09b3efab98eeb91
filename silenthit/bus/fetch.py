"""Read single messages again by their place: topic, partition, offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from confluent_kafka import Consumer, KafkaError, TopicPartition

from silenthit.bus.connection import KafkaSettings, Message, failure
from silenthit.bus.reader import NO_GROUP, message_of, reader_properties
from silenthit.errors import RetryError

_NEAR = 500  # offsets this close are read through rather than sought
_WAIT_S = 10.0


class PlaceReader:
    """Reads messages by place, without a consumer group. One caller at a time."""

    def __init__(self, settings: KafkaSettings, *, client_id: str) -> None:
        """Open nothing yet: the connection is made at the first fetch."""
        self._consumer = Consumer(reader_properties(settings, client_id))

    def fetch(self, topic: str, places: Iterable[tuple[int, int]]) -> list[Message]:
        """Return the messages that still lie at these (partition, offset), ordered by place.

        A place that retention or compaction has emptied gives nothing.
        Raises RetryError when the broker does not answer.
        """
        found: list[Message] = []
        for partition, grouped in groupby(sorted(set(places)), key=lambda place: place[0]):
            for run in _runs([offset for _, offset in grouped]):
                found += self._run(topic, partition, run)
        return found

    def _run(self, topic: str, partition: int, offsets: list[int]) -> Iterator[Message]:
        wanted, last = set(offsets), offsets[-1]
        self._consumer.assign([TopicPartition(topic, partition, offsets[0])])
        reached = -1
        while reached < last:
            raw = self._consumer.poll(_WAIT_S)
            if raw is None:
                raise RetryError(
                    f"expected an answer of the broker within {_WAIT_S:.0f} s; try again"
                )
            error = raw.error()
            if error is None:
                message = message_of(raw)
                reached = message.offset
                if reached in wanted:
                    yield message
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 librdkafka's own code
                reached = last
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
