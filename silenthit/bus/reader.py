"""Read Kafka topics by assignment: every partition, from given offsets, leaving no trace there.

The reader joins no consumer group and commits nothing, so that the broker's operator cannot see
how far it is. Its caller keeps the offsets.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from silenthit.bus.connection import Message, Place, failure, log
from silenthit.bus.settings import KafkaSettings
from silenthit.errors import RefusedError, RetryError, SilentHitError

ASK_S = 10.0  # for metadata and watermarks
ASK_AGAIN_S = 1.0  # for metadata while reading, which a broker that is away shall not hold up
MISSING_EVERY_S = 0.25
# librdkafka looks for the coordinator of the group that nobody here joins; no right is needed.
NO_GROUP = KafkaError.GROUP_AUTHORIZATION_FAILED


def reader_properties(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """Return the configuration of a client that reads by assignment."""
    return settings.properties(
        client_id,
        # librdkafka wants a name; without a subscription or commit no broker lists it.
        group_id=f"reader-{uuid.uuid4().hex}",
        enable_auto_commit=False,
        enable_auto_offset_store=False,
        enable_partition_eof=True,
        auto_offset_reset="earliest",
        fetch_queue_backoff_ms=20,
        # The embedded broker lets a new message wait until the fetch that is open has run out.
        fetch_wait_max_ms=100,
    )


def message_of(raw: Any) -> Message:
    """Return what librdkafka read as a message of ours."""
    headers = tuple((name, value or b"") for name, value in raw.headers() or ())
    return Message(
        raw.topic(),
        raw.partition(),
        raw.offset(),
        raw.timestamp()[1],
        raw.key(),
        raw.value(),
        headers,
    )


class TopicReader:
    """Every partition of some topics, in order within each. For one thread at a time.

    Topics that do not exist yet and partitions that are added later are picked up while reading,
    from their beginning (or their `start`). An offset that the broker no longer has counts as the
    beginning.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        *,
        client_id: str,
        start: Mapping[Place, int] | None = None,
        from_end: bool = False,
        only: Collection[Place] | None = None,
        discover_every: float = 5.0,
    ) -> None:
        """With `from_end`, what the topics hold now is passed over, unless `start` says where.

        `only` names the partitions to read when it is not every one.
        """
        self._consumer = Consumer(reader_properties(settings, client_id))
        self._discover_every = discover_every
        self._only = only
        self._topics: dict[str, None] = dict.fromkeys(topics)
        self._start: dict[Place, int] = dict(start or {})
        self._assigned: set[Place] = set()
        self._positions: dict[Place, int] = {}
        self._ends: dict[Place, int | None] = {}  # partitions whose end was not reached yet
        self._missing: frozenset[str] | None = None  # None: the broker has not told yet
        self._failed: SilentHitError | None = None
        self._next_look = 0.0
        self._from_end = from_end
        self._discover()
        self._from_end = False

    def read(self, max_messages: int, timeout: float) -> list[Message]:
        """Return what there is, at most `max_messages`; wait up to `timeout` s for the first.

        Raises RefusedError without the right to read, RetryError when the client has to be made
        anew.
        """
        deadline = time.monotonic() + timeout
        while True:
            if self._failed:
                failed, self._failed = self._failed, None
                raise failed
            if time.monotonic() >= self._next_look:
                self._discover()
            messages = self._take(max_messages, min(deadline, self._next_look))
            if messages or time.monotonic() >= deadline:
                return messages

    def caught_up(self) -> bool:
        """Whether `read` has returned all that each partition held when it was first assigned.

        False while one of the topics does not exist (see `missing`). Once True it stays so, until
        a topic or partition is added.
        """
        return not self._ends and self._missing is not None and not self._missing

    def behind(self) -> bool:
        """Whether a topic that exists was not read to its end yet, or nobody could look."""
        return bool(self._ends) or self._missing is None

    def read_to_end(
        self, max_messages: int = 1_000, timeout: float = 0.2
    ) -> Iterator[list[Message]]:
        """Return all that the topics held when they were first assigned, in lists.

        A topic that does not exist holds nothing. Raises RetryError when the broker is away: what
        nobody could look at does not count as empty.
        """
        while self.behind():
            messages = self.read(max_messages, timeout)
            if messages:
                yield messages
            elif self._missing is None:
                raise RetryError("expected the broker to list its topics, got no answer; try again")

    def missing(self) -> frozenset[str]:
        """Topics that did not exist when the reader last looked; none while it could not look."""
        return self._missing or frozenset()

    def positions(self) -> dict[Place, int]:
        """For each partition, the offset of the next message that `read` will return.

        Partitions of which nothing was read stand at their `start`, or are left out.
        """
        return dict(self._positions)

    def add_topics(self, topics: Iterable[str], start: Mapping[Place, int] | None = None) -> None:
        """Read these topics too. Those that it reads already cost nothing."""
        new = [topic for topic in topics if topic not in self._topics]
        if new:
            self._topics.update(dict.fromkeys(new))
            self._start.update(start or {})
            self._discover()

    def close(self) -> None:
        """Stop reading; positions stay readable."""
        self._consumer.close()

    def __enter__(self) -> Self:
        """Return the reader, assigned."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _take(self, max_messages: int, until: float) -> list[Message]:
        first = self._consumer.poll(max(0.0, until - time.monotonic()))
        if first is None:
            return []
        # consume() waits for a full batch or its timeout: with none it drains what is here.
        found = (
            [first, *self._consumer.consume(max_messages - 1, 0)] if max_messages > 1 else [first]
        )
        messages = [self._message(raw) for raw in found if self._is_message(raw)]
        for place in [place for place, end in self._ends.items() if self._reached(place, end)]:
            del self._ends[place]
        return messages

    def _is_message(self, raw: Any) -> bool:
        error = raw.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 librdkafka's own code
            self._ends.pop((raw.topic(), raw.partition()), None)
        else:
            self._note(error)
        return False

    def _note(self, error: KafkaError) -> None:
        if error.code() == NO_GROUP:
            return
        failed = failure(error, "read")
        if error.fatal() or isinstance(failed, RefusedError):
            self._failed = failed
        else:
            log.warning("reading goes on after %s", error.name())

    def _message(self, raw: Any) -> Message:
        message = message_of(raw)
        self._positions[message.topic, message.partition] = message.offset + 1
        return message

    def _reached(self, place: Place, end: int | None) -> bool:
        return end is not None and self._positions.get(place, 0) >= end

    def _discover(self) -> None:
        """Assign every partition of the topics that is not assigned yet."""
        try:
            patience = ASK_AGAIN_S if self._assigned else ASK_S
            known = self._consumer.list_topics(timeout=patience).topics
        except KafkaException as error:
            self._note(error.args[0])
            self._next_look = time.monotonic() + MISSING_EVERY_S
            return
        found = {name: known[name] for name in self._topics if name in known}
        found = {name: topic for name, topic in found.items() if topic.partitions}
        new = [
            (name, number)
            for name, topic in found.items()
            for number in topic.partitions
            if (name, number) not in self._assigned
            and (self._only is None or (name, number) in self._only)
        ]
        self._assign(new)
        self._missing = frozenset(self._topics.keys() - found.keys())
        wait = MISSING_EVERY_S if self._missing else self._discover_every
        self._next_look = time.monotonic() + wait

    def _assign(self, places: Sequence[Place]) -> None:
        if not places:
            return
        for place in places:
            self._assigned.add(place)
            if place in self._start:
                self._positions[place] = self._start[place]
            low, high = self._watermarks(place)
            if self._from_end and high is not None:
                self._positions[place] = self._start.setdefault(place, high)
            if high is None or max(low, self._start.get(place, low)) < high:
                self._ends[place] = high
        self._consumer.incremental_assign(
            [TopicPartition(*place, self._start.get(place, OFFSET_BEGINNING)) for place in places]
        )

    def _watermarks(self, place: Place) -> tuple[int, int | None]:
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=ASK_S)
        except KafkaException as error:
            self._note(error.args[0])
            return 0, None  # the end-of-partition event will tell
        return low, high
