"""Count the registrations on the brokers by the key that they are sealed to, for a rotation."""

from __future__ import annotations

from collections import Counter, defaultdict

from schemas.topics import WATCHES
from silenthit.bus.clients import TopicReader
from stream_processors.admission import watch_key_of
from stream_processors.settings import ExchangeSettings, Organisations


def sealed_to(settings: ExchangeSettings) -> dict[str, dict[str, int]]:
    """Return, by key id in hexadecimal ("" where unsealed), how many each partner has.

    Raises RefusedError where this process has no right to watches, RetryError when a broker is
    away.
    """
    topics = {
        WATCHES.of(each): each for each in Organisations.load(settings.organisations).partners
    }
    held: dict[tuple[str, bytes], str | None] = {}
    if topics:
        with TopicReader(settings.bus.partner, list(topics), client_id="watch-keys") as reader:
            for messages in reader.read_to_end():
                for message in messages:
                    sealed = None if message.value is None else watch_key_of(message.value).hex()
                    held[message.topic, message.key or b""] = sealed
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for (topic, _), sealed in held.items():
        if sealed is not None:
            counts[sealed][topics[topic]] += 1
    return {key: dict(found) for key, found in counts.items()}
