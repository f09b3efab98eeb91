"""Faust's aiokafka transport, with a fetch that does not wait long for a broker that can't wake it.

Apache Kafka answers a waiting fetch as soon as there is a message. The embedded broker answers when
the wait is over, and Faust's is 1.5 s long: every alert of the demo would take most of a second.
"""

from __future__ import annotations

from typing import Any

from faust.transport.drivers import aiokafka

FETCH_WAIT_MS = 50


class ConsumerThread(aiokafka.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka client."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 read when the client starts
        return consumer


class Consumer(aiokafka.Consumer):
    """Faust's consumer, on our thread."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class PromptTransport(aiokafka.Transport):
    """For `app.transport`: acknowledgements, commits and rebalances are Faust's own."""

    Consumer = Consumer
