"""Messages that are read together or not at all."""

from __future__ import annotations

from silenthit.bus.clients import KafkaSettings, TopicReader
from silenthit.bus.together import Together

BOTH = [("to.one", b"k", b"1"), ("to.other", b"k", b"2")]


def values(settings: KafkaSettings) -> list[bytes]:
    with TopicReader(settings, ["to.one", "to.other"], client_id="test") as reader:
        return sorted(message.value or b"" for some in reader.read_to_end() for message in some)


def test_what_was_sent_together_is_there_and_the_next_too(embedded_broker: KafkaSettings) -> None:
    with Together(embedded_broker, client_id="t", name="both") as together:
        together.send(BOTH)
        together.send([("to.one", b"k", b"3")])
    assert values(embedded_broker) == [b"1", b"2", b"3"]
