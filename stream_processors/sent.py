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
        """Take in a record; return whether an older revision names somebody whom a newer does not.

        The latest revision stands, and whoever was named stays named: a worker that lost its
        partition may still write what it knew, and is not to make the new owner's word forgotten.
        """
        known = self._latest.get(sent.record_id)
        if known is None:
            self._latest[sent.record_id] = sent
            return False
        older, newer = sorted((known, sent), key=lambda each: each.revision)
        more = tuple(entry for entry in older.alerted if entry not in newer.alerted)
        same = older.revision == newer.revision
        both = {
            "alerted": newer.alerted + more,
            "retracted": newer.retracted or (same and older.retracted),
        }
        self._latest[sent.record_id] = newer.model_copy(update=both)
        return bool(more) and not same

    def apply(self, messages: Iterable[Message]) -> dict[bytes, bool]:
        """Take in messages of the topic; tombstones forget.

        Return the records that they are of, and for each what `put` said.
        """
        heard: dict[bytes, bool] = {}
        for message in messages:
            if message.value is not None:
                sent = codec.decode(message.value, Sent)
                heard[sent.record_id] = self.put(sent) or heard.get(sent.record_id, False)
            elif message.key is not None:
                self._latest.pop(message.key, None)
        return heard


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
