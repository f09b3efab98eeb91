"""What ends a publisher for good fails its futures, whichever call is told of it first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from silenthit.bus import publisher
from silenthit.bus.publisher import Publisher
from silenthit.bus.settings import KafkaSettings
from silenthit.errors import RefusedError

FORBIDDEN = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "no right to write", fatal=True)
PURGED = KafkaError(KafkaError._PURGE_QUEUE)


class FatalProducer:
    """Says in `flush`, as often as it is told, that all is over; what waits fails once purged."""

    def __init__(self, told: int) -> None:
        self._told = told
        self._waiting: list[Callable[[Any, Any], None]] = []
        self._purged = False

    def produce(self, *_: Any, on_delivery: Callable[[Any, Any], None], **__: Any) -> None:
        self._waiting.append(on_delivery)

    def poll(self, seconds: float) -> int:
        return 0

    def flush(self, seconds: float) -> int:
        if self._told:
            self._told -= 1
            raise KafkaException(FORBIDDEN)
        while self._purged and self._waiting:
            self._waiting.pop()(PURGED, None)
        return len(self._waiting)

    def purge(self) -> None:
        self._purged = True

    def __len__(self) -> int:
        return len(self._waiting)


@pytest.mark.parametrize("told", [1, 3])
@pytest.mark.parametrize("way", ["flush", "close"])
def test_who_flushes_or_closes_is_spared_what_the_futures_say(
    way: str, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "Producer", lambda _: FatalProducer(told))
    sending = Publisher(KafkaSettings(bootstrap_servers="127.0.0.1:1"), client_id="test")
    sent = sending.send("touches", b"key", b"value")
    getattr(sending, way)()
    with pytest.raises(RefusedError, match="write to touches"):
        sent.result(10)
    sending.close()


def test_a_publisher_that_is_told_without_end_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher, "Producer", lambda _: FatalProducer(1_000_000))
    sending = Publisher(KafkaSettings(bootstrap_servers="127.0.0.1:1"), client_id="test")
    sending.close(0.05)
    assert not sending._poller.is_alive()
