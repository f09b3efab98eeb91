"""What every Kafka client here has in common: settings, the message, and what an error means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import KafkaError

from silenthit.bus.quiet_log import bus_log
from silenthit.errors import InputError, RefusedError, RetryError, SilentHitError

log = bus_log()

Headers = tuple[tuple[str, bytes], ...]
Place = tuple[str, int]  # topic and partition


# A tuple, because making a frozen dataclass takes four times as long, once a message.
class Message(NamedTuple):
    """One message read; `timestamp_ms` is the broker's append time (design section 5)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def __repr__(self) -> str:
        """Say where it lies, and nothing of what it says."""
        place = f"{self.topic!r}, {self.partition}, {self.offset}, {self.timestamp_ms}"
        return f"{type(self).__name__}({place})"


UNKNOWN_OFFSET = -1


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where a message was stored, confirmed by every in-sync replica.

    `offset` is UNKNOWN_OFFSET where the broker had it already, and does not say where.
    `timestamp_ms` is the broker's append time; the embedded broker always says 1234.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


_INPUT = {
    KafkaError.MSG_SIZE_TOO_LARGE: "make the record smaller",
    KafkaError.RECORD_LIST_TOO_LARGE: "make the record smaller",
    KafkaError.INVALID_MSG: "send a key: the topic is compacted",
    KafkaError.INVALID_RECORD: "send a key: the topic is compacted",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topics with `silenthit exchange topics`",
    KafkaError._UNKNOWN_TOPIC: "create the topics with `silenthit exchange topics`",  # noqa: SLF001 librdkafka's own codes
    KafkaError._UNKNOWN_PARTITION: "create the topics with `silenthit exchange topics`",  # noqa: SLF001
}
_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,  # noqa: SLF001
}


def failure(error: KafkaError, doing: str) -> SilentHitError:
    """Return the error of ours that says what to do about one of Kafka's.

    `doing` names the operation and the topic, never content.
    """
    code = error.code()
    name = error.name()
    if code in _INPUT:
        return InputError(f"expected {doing} to succeed, got {name}; {_INPUT[code]}")
    if code in _REFUSED:
        return RefusedError(
            f"expected the right to {doing}, got {name}; ask the operator of the broker"
        )
    return RetryError(f"expected {doing} to succeed, got {name}; try again when the broker is up")
