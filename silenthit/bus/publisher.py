"""Publish to Kafka: idempotent, confirmed by all replicas, one future a message."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from silenthit.bus.connection import UNKNOWN_OFFSET, Delivered, failure
from silenthit.bus.settings import KafkaSettings
from silenthit.errors import RetryError

POLL_S = 0.1
CLOSE_S = 30.0
ANY_PARTITION = -1  # RD_KAFKA_PARTITION_UA: by the key


class Publisher:
    """Sends messages from any thread. A background thread completes their futures.

    Messages with one key keep their order and partition (murmur2, as the Java client has it).
    """

    def __init__(self, settings: KafkaSettings, *, client_id: str, linger_ms: float = 5) -> None:
        """`linger_ms`: how long a message waits for company, which saves requests."""
        self._producer = Producer(
            settings.properties(
                client_id,
                enable_idempotence=True,
                acks="all",
                partitioner="murmur2_random",
                linger_ms=linger_ms,
                delivery_timeout_ms=120_000,
            )
        )
        self._closed = threading.Event()
        self._fatal: KafkaError | None = None
        self._poller = threading.Thread(
            target=self._poll, name=f"publisher-{client_id}", daemon=True
        )
        self._poller.start()

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> Future[Delivered]:
        """Queue one message; value None is a tombstone. Blocks only while the queue is full.

        The future fails with InputError (too large, no such topic or partition), RefusedError (no
        right to write) or RetryError (the broker did not answer in two minutes). A broker that
        answers late may have stored a message whose future failed: sending it again is safe for
        readers that go by key.
        """
        future: Future[Delivered] = Future()
        future.set_running_or_notify_cancel()
        if self._closed.is_set():
            future.set_exception(RetryError("expected an open publisher, got a closed one"))
            return future
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    headers=list(headers),
                    on_delivery=partial(self._complete, future, topic),
                    partition=ANY_PARTITION if partition is None else partition,
                )
            except BufferError:
                self._producer.poll(POLL_S)
            except KafkaException as error:
                future.set_exception(failure(error.args[0], f"write to {topic}"))
                return future
            else:
                return future

    def flush(self, timeout: float = CLOSE_S) -> None:
        """Wait until every message was delivered or failed. Raises RetryError after `timeout` s."""
        waiting = self._flushed(timeout)
        if waiting:
            raise RetryError(
                f"expected every message confirmed within {timeout:g} s, got {waiting} waiting; "
                "try again when the broker is up"
            )

    def close(self, timeout: float = CLOSE_S) -> None:
        """Flush, then stop. Futures of messages not confirmed in time fail with RetryError."""
        if self._closed.is_set():
            return
        if self._flushed(timeout):
            self._producer.purge()
            self._flushed(1.0)
        self._closed.set()
        self._poller.join()

    def __enter__(self) -> Self:
        """Return the publisher, open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _poll(self) -> None:
        while not self._closed.is_set():
            try:
                self._producer.poll(POLL_S)
            except KafkaException as error:
                self._break_off(error)

    def _flushed(self, timeout: float) -> int:
        """Return how many messages still wait after so many seconds."""
        ends = time.monotonic() + timeout
        while True:
            try:
                return self._producer.flush(max(0.0, ends - time.monotonic()))
            except KafkaException as error:  # whoever asks first is told
                self._break_off(error)
                if time.monotonic() >= ends:
                    return len(self._producer)

    def _break_off(self, error: KafkaException) -> None:
        """Have what waits fail: the error is fatal, such as having no right to write anything."""
        self._fatal = error.args[0]
        self._producer.purge()

    def _complete(
        self, future: Future[Delivered], topic: str, error: KafkaError | None, sent: Any
    ) -> None:
        if error is not None:
            future.set_exception(failure(self._fatal or error, f"write to {topic}"))
            return
        offset = sent.offset()
        at = UNKNOWN_OFFSET if offset is None else offset
        future.set_result(Delivered(topic, sent.partition(), at, sent.timestamp()[1]))
