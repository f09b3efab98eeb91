"""Write messages that are read together or not at all: one Kafka transaction.

    with Together(settings, client_id="exchange", name="silenthit-deconflict") as together:
        together.send([("deconflictions.a", key, one), ("deconflictions.b", key, other)])

Readers of ours see only what was committed. Of two writers with one name, the later one ends the
earlier one's rights, so that there is one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Producer

from silenthit.bus.connection import failure
from silenthit.bus.settings import KafkaSettings
from silenthit.errors import SettingsError, SilentHitError

BEGIN_S = 30.0
_DOING = "write together"
_OVERTAKEN = (
    KafkaError._FENCED,  # noqa: SLF001 librdkafka's own code
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
)

Written = tuple[str, bytes, bytes | None]  # topic, key, value


class Together:
    """A writer of transactions. For one thread."""

    def __init__(self, settings: KafkaSettings, *, client_id: str, name: str) -> None:
        """Take over from whoever had this name, and end what it left undone.

        Raises RetryError when no broker answers, RefusedError without the right to the name.
        """
        self._producer = Producer(
            settings.properties(
                client_id,
                transactional_id=name,
                acks="all",
                partitioner="murmur2_random",
                linger_ms=0,
            )
        )
        try:
            self._producer.init_transactions(BEGIN_S)
        except KafkaException as error:
            raise failure(error.args[0], _DOING) from None

    def send(self, messages: Sequence[Written]) -> None:
        """Write all of these or none; on return they are readable.

        Raises RetryError or RefusedError; the writer is then to be made anew, and what was written
        to be read again: the broker may have committed and not said so. Raises SettingsError when
        another writer has taken over the name.
        """
        try:
            self._producer.begin_transaction()
            for topic, key, value in messages:
                self._producer.produce(topic, value, key)
            self._producer.commit_transaction(BEGIN_S)
        except KafkaException as error:
            raise _failure(error.args[0]) from None

    def __enter__(self) -> Self:
        """Return the writer, ready."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave what is undone to whoever takes over."""
        self._producer.purge()


def _failure(error: KafkaError) -> SilentHitError:
    if error.code() in _OVERTAKEN:
        return SettingsError(
            "expected to be the one process that writes together, got another that took over; let "
            "only one run"
        )
    return failure(error, _DOING)
