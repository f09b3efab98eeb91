"""What every Kafka client here has in common: settings, the message, and what an error means."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from silenthit.errors import InputError, RefusedError, RetryError, SilentHitError

log = logging.getLogger("silenthit.bus")

Headers = tuple[tuple[str, bytes], ...]
Place = tuple[str, int]  # topic and partition


class KafkaSettings(BaseModel):
    """One bus. `security` holds further librdkafka properties, such as those of TLS and SASL.

    A relative `….location` (of a certificate, a key) is resolved against the configuration's
    folder when `silenthit.settings.load_toml` reads it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: str = Field(min_length=1)
    security: dict[str, str] = Field(default={}, repr=False)

    @field_validator("security")
    @classmethod
    def _locations(cls, security: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        folder = (info.context or {}).get("folder")
        if folder is None:
            return security
        return {
            name: str(Path(folder) / value) if name.endswith(".location") else value
            for name, value in security.items()
        }

    def properties(self, client_id: str, **more: Any) -> dict[str, Any]:
        """Return the librdkafka configuration of one client; `more` has _ for each dot."""
        return {
            **self.security,
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": client_id,
            "logger": log,
            # The others need the broker's word at once when it comes back, not ten seconds later.
            "reconnect.backoff.max.ms": 1000,
            **{name.replace("_", "."): value for name, value in more.items()},
        }


@dataclass(frozen=True, slots=True)
class Message:
    """One message read; `timestamp_ms` is the broker's append time (design section 5)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: Headers = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where a message was stored, confirmed by every in-sync replica.

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
