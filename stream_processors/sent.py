"""Who was alerted of which revision: the topic `sent`, held in memory by every matching worker.

It is written before the alerts it names, so a crash between the two leaves somebody named who got
nothing (and is told of a withdrawal that means nothing), never somebody alerted whom no later
correction or retraction would reach.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas import codec
from schemas.messages import Sent, SentEntry
from silenthit.bus.clients import Message
from stream_processors.admission import AdmittedTouch, Retraction
from stream_processors.matching import Candidate


class SentLog:
    """The latest `sent` record of each record id."""

    def __init__(self) -> None:
        """Start empty; `apply` fills it from the topic."""
        self._latest: dict[bytes, Sent] = {}

    def __len__(self) -> int:
        """How many records anybody was alerted of."""
        return len(self._latest)

    def get(self, record_id: bytes) -> Sent | None:
        """Return who was alerted of a record, None when nobody was."""
        return self._latest.get(record_id)

    def put(self, sent: Sent) -> bool:
        """Take in a record; return whether it names somebody who was not known to hold it.

        The latest revision stands, and whoever was named stays named: a worker that lost its
        partition may still write what it knew, and is not to make the new owner's word forgotten.
        """
        known = self._latest.get(sent.record_id)
        if known is None:
            self._latest[sent.record_id] = sent
            return bool(sent.alerted)
        last = sent if sent.revision > known.revision else known
        more = tuple(entry for entry in sent.alerted if entry not in known.alerted)
        both = {
            "alerted": known.alerted + more,
            "retracted": any(e.retracted for e in (known, sent) if e.revision == last.revision),
        }
        self._latest[sent.record_id] = last.model_copy(update=both)
        return bool(more)

    def apply(self, messages: Iterable[Message]) -> dict[bytes, int]:
        """Take in messages of the topic; tombstones forget.

        Return the records of which somebody was named who was not known, with the lowest revision
        that named one.
        """
        named: dict[bytes, int] = {}
        for message in messages:
            if message.value is not None:
                sent = codec.decode(message.value, Sent)
                if self.put(sent):
                    lowest = min(sent.revision, named.get(sent.record_id, sent.revision))
                    named[sent.record_id] = lowest
            elif message.key is not None:
                self._latest.pop(message.key, None)
        return named


def sent_for(admitted: AdmittedTouch, candidates: Iterable[Candidate], prior: Sent | None) -> Sent:
    """Name everybody who holds, or is about to hold, any revision of this record."""
    found = [
        SentEntry(partner=c.watched.partner, registration_id=c.watched.registration_id)
        for c in candidates
    ]
    earlier = [entry for entry in prior.alerted if entry not in found] if prior else []
    return Sent(
        record_id=admitted.record_id,
        revision=admitted.revision,
        sender=admitted.organisation,
        alerted=(*earlier, *found),
    )


def sent_retracted(retraction: Retraction, prior: Sent) -> Sent:
    """Mark a record as taken back; who held it stays named until the record's time is over."""
    return prior.model_copy(update={"revision": retraction.revision, "retracted": True})
