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

    def put(self, sent: Sent) -> None:
        """Take in a record unless a later revision is known; of one revision, both count.

        A worker that lost its partition may still write what it knew: nobody whom the new owner
        named is forgotten for that, and no retraction undone.
        """
        known = self._latest.get(sent.record_id)
        if known is None or known.revision < sent.revision:
            self._latest[sent.record_id] = sent
        elif known.revision == sent.revision:
            more = tuple(entry for entry in sent.alerted if entry not in known.alerted)
            both = {"alerted": known.alerted + more, "retracted": known.retracted or sent.retracted}
            self._latest[sent.record_id] = known.model_copy(update=both)

    def apply(self, messages: Iterable[Message]) -> None:
        """Take in messages of the topic; tombstones forget."""
        for message in messages:
            if message.value is not None:
                self.put(codec.decode(message.value, Sent))
            elif message.key is not None:
                self._latest.pop(message.key, None)


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
