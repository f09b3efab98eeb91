"""How far the exchange is, asked of the broker: what is matched, how many alerts were written."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.topics import ALERTS, TOUCHES
from silenthit.bus.clients import KafkaSettings

ASK_S = 10.0


class Progress:
    """A client that asks for offsets and reads nothing.

    A worker acknowledges a touch after everything that follows from it is confirmed, so once its
    group's offsets are the topic's ends, every alert is on its topic.
    """

    def __init__(self, bootstrap: str, group: str) -> None:
        """`group` is the workers' consumer group."""
        settings = KafkaSettings(bootstrap_servers=bootstrap)
        self._client = Consumer(settings.properties("silenthit-demo", group_id=group))

    def __enter__(self) -> Self:
        """Connect when first asked."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the client."""
        self._client.close()

    def touches(self) -> int:
        """How many touches the agencies' bus holds."""
        return sum(self._ends(TOUCHES.name).values())

    def alerts(self, partner: str) -> int:
        """How many alerts were written for a partner."""
        return sum(self._ends(ALERTS.of(partner)).values())

    def all_matched(self) -> bool:
        """Whether every touch that the bus holds is acknowledged by a worker."""
        ends = {number: end for number, end in self._ends(TOUCHES.name).items() if end}
        asked = [TopicPartition(TOUCHES.name, number) for number in ends]
        try:
            done = self._client.committed(asked, timeout=ASK_S) if asked else []
        except KafkaException:
            return False
        return all(each.offset >= ends[each.partition] for each in done)

    def _ends(self, topic: str) -> dict[int, int]:
        partitions = self._client.list_topics(topic, timeout=ASK_S).topics[topic].partitions
        return {
            number: self._client.get_watermark_offsets(
                TopicPartition(topic, number), timeout=ASK_S, cached=False
            )[1]
            for number in partitions
        }
