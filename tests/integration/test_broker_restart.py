"""A broker that goes away and comes back: nothing is lost, and nobody has to be restarted."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from schemas.topics import TOUCHES
from silenthit.bus.admin import create_topics
from silenthit.bus.clients import KafkaSettings, Publisher, TopicReader
from tests.services import start_kafka, stop_kafka


@pytest.mark.slow
@pytest.mark.kafka
def test_what_was_sent_meanwhile_is_delivered_once_and_read_on(tmp_path: Path) -> None:
    bus = KafkaSettings(bootstrap_servers=start_kafka(tmp_path)["CLIENT"])
    try:
        create_topics(bus, [(TOUCHES, "touches")])
        with (
            Publisher(bus, client_id="test") as publisher,
            TopicReader(bus, ["touches"], client_id="test") as reader,
        ):
            before = [publisher.send("touches", b"a%d" % i, b"v") for i in range(20)]
            publisher.flush(20)
            stop_kafka(tmp_path)
            meanwhile = [publisher.send("touches", b"b%d" % i, b"v") for i in range(20)]
            begun = time.monotonic()
            reader.read(1000, 0.1)
            assert time.monotonic() - begun < 5
            start_kafka(tmp_path)
            places = {future.result(60) for future in (*before, *meanwhile)}
            assert len(places) == 40
        with TopicReader(bus, ["touches"], client_id="test") as reader:
            keys = []
            while not reader.caught_up():
                keys += [message.key for message in reader.read(1000, 1.0)]
        expected = [b"%s%d" % (name, number) for name in (b"a", b"b") for number in range(20)]
        assert sorted(keys) == sorted(expected)
    finally:
        stop_kafka(tmp_path)
