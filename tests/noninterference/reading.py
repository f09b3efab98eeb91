"""What whoever may read a topic makes of its messages, and which topics anybody has heard of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas import codec
from schemas.deconfliction import Meeting
from schemas.inquiries import Answer
from schemas.messages import Alert
from silenthit.bus.clients import Message
from tests.noninterference.traffic import AGENCIES, ALLY, BYSTANDER, WATCHER


def decoded(topic: str, value: bytes) -> Iterator[tuple[str, Any]]:
    """Open a message as far as whoever may read its topic can."""
    if topic.startswith("alerts."):
        alert = codec.decode(value, Alert)
        for name, one in alert.model_dump().items():
            if name == "parts":
                for number, part in enumerate(one):
                    yield f"parts/{number}/length", len(part)
                continue
            yield name, one.hex() if isinstance(one, bytes) else one
            if isinstance(one, bytes):
                yield f"{name}/length", len(one)
    elif topic.startswith("deconflictions."):
        meeting = codec.decode(value, Meeting)
        yield "keys/length", len(meeting.keys)
        yield "card/length", len(meeting.card)
    elif topic.startswith("answers."):
        yield "sealed/length", len(codec.decode(value, Answer).sealed)


def ranked(topic: str, message: Message) -> tuple[Any, ...]:
    """Order alerts by record and revision, all else as it lies."""
    if topic.startswith("alerts.") and message.value is not None:
        alert = codec.decode(message.value, Alert)
        return alert.record_id, alert.revision, message.offset
    return message.partition, message.offset


def suspected() -> list[str]:
    """Topics that anybody may have heard of, one of nobody among them."""
    agencies = (ori.lower() for ori in AGENCIES.values())
    organisations = (*agencies, WATCHER, BYSTANDER, ALLY, "nobody")
    kinds = ("watches", "alerts", "inquiries", "answers", "publications", "operations", "conflicts",
             "deconflictions")  # fmt: skip
    return [
        "meetings",
        "conflicts",
        "sent",
        "disclosures",
        "answer-disclosures",
        "quarantine",
        *(f"{kind}.{name}" for kind in kinds for name in organisations),
    ]
