"""Set aside what cannot be processed: topic, partition, offset and reason, never content."""

from __future__ import annotations

from schemas import codec
from schemas.messages import Quarantined
from schemas.topics import QUARANTINE
from stream_processors.admission import Refused
from stream_processors.outgoing import Outgoing


def quarantined(refused: Refused, worker: str) -> Outgoing:
    """Return the message for the topic `quarantine`; its key makes a repeated one the same."""
    place = refused.place
    return Outgoing(
        topic=QUARANTINE.name,
        key=f"{place.topic}/{place.partition}/{place.offset}".encode(),
        value=codec.encode(
            Quarantined(
                topic=place.topic,
                partition=place.partition,
                offset=place.offset,
                reason=refused.reason.value,
                worker=worker,
            )
        ),
    )
