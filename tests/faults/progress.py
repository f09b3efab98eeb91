"""How far the workers are with the touches, asked by one client for as long as it is answered."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.topics import TOUCHES
from silenthit.bus.clients import KafkaSettings

ASK_S = 1.0  # nobody that is away is waited for


class Progress:
    """Asks for a group that it does not join."""

    def __init__(self, kafka: KafkaSettings, group: str) -> None:
        """Connect at the first question."""
        self._properties = kafka.properties("judge-progress", group_id=group)
        self._asking: Consumer | None = None

    def acknowledged(self, ends: Mapping[int, int]) -> bool:
        """Whether every touch is, up to the next offset of each partition; False if nobody says."""
        self._asking = self._asking or Consumer(self._properties)
        places = [TopicPartition(TOUCHES.name, number) for number in ends]
        try:
            done = self._asking.committed(places, timeout=ASK_S)
        except KafkaException:  # a broker is coming back
            self.close()
            return False
        return all(not each.error and each.offset >= ends[each.partition] for each in done)

    def close(self) -> None:
        """Forget what the client believes of brokers."""
        if self._asking:
            self._asking.close()
            self._asking = None
