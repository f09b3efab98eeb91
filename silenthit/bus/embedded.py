"""The embedded broker: librdkafka's mock cluster, for the demo and for fast tests.

Real Kafka protocol over TCP, but no topic creation calls (a topic appears when a producer first
asks for it, with four partitions), no access control, no compaction, no append time, and nothing
left when its process ends. Never proof of anything about Kafka.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Producer

from silenthit.bus.connection import log

START_S = 10.0
PARTITIONS = 4  # of every topic; librdkafka's mock cluster has no other number


class EmbeddedBroker:
    """A broker on 127.0.0.1, at a port of the system's choice, inside this process."""

    def __init__(self) -> None:
        self._host: Producer | None = None
        self.bootstrap_servers = ""

    def start(self) -> Self:
        """Start it; `bootstrap_servers` is its address from then on."""
        # The address is ignored: a client with a mock cluster talks to that alone.
        self._host = Producer(
            {"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1, "logger": log}
        )
        brokers = self._host.list_topics(timeout=START_S).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return self

    def stop(self) -> None:
        """Stop it, and lose what it held."""
        self._host = None
        self.bootstrap_servers = ""

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()


def serve(port_file: Path) -> None:
    """Run a broker until SIGTERM or SIGINT; its address is written to `port_file` at once whole.

    Call it in the main thread of a process of its own.
    """
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with EmbeddedBroker() as broker:
        partial = port_file.with_name(f"{port_file.name}.{os.getpid()}.partial")
        partial.write_text(broker.bootstrap_servers + "\n", encoding="ascii")
        partial.replace(port_file)
        try:
            signal.sigwait(stop)
        finally:
            port_file.unlink(missing_ok=True)
