"""Who is told what of a touch: withdrawals and retractions, and the messages that say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas import codec
from schemas.messages import Alert, AlertStatus, Sent, registration_key
from schemas.topics import ALERTS, SENT
from stream_processors.admission import AdmittedTouch, Retraction
from stream_processors.matching import Candidate, notice
from stream_processors.outgoing import Outgoing
from stream_processors.watch_index import WatchIndex


def withdrawals(
    admitted: AdmittedTouch,
    candidates: Sequence[Candidate],
    prior: Sent | None,
    index: WatchIndex,
) -> list[tuple[str, Alert]]:
    """Tell those who hold an earlier revision that this one no longer satisfies their watch.

    A watch that has ended, or is not registered in the touch's epoch, can't be said to be
    satisfied or not: its partner keeps what it has.
    """
    still = {candidate.watched.registration_id for candidate in candidates}
    at, epoch = admitted.place.appended_at, admitted.header.epoch
    told = []
    for entry in prior.alerted if prior else ():
        watched = index.live(entry.partner, registration_key(entry.registration_id, epoch))
        if entry.registration_id in still or watched is None or at >= watched.expires_at:
            continue
        withdrawn = notice(
            admitted.record_id, entry.registration_id, admitted.revision, AlertStatus.WITHDRAWN, at
        )
        told.append((entry.partner, withdrawn))
    return told


def takings_back(retraction: Retraction, prior: Sent) -> list[tuple[str, Alert]]:
    """Tell all who hold a record that its agency took it back."""
    return [
        (
            entry.partner,
            notice(
                retraction.record_id,
                entry.registration_id,
                retraction.revision,
                AlertStatus.RETRACTED,
                retraction.place.appended_at,
                retraction.proof,
            ),
        )
        for entry in prior.alerted
    ]


def alert_message(partner: str, each: Alert) -> Outgoing:
    """Return an alert on its way to its partner's topic."""
    return Outgoing(topic=ALERTS.of(partner), key=each.alert_id, value=codec.encode(each))


def sent_messages(
    sents: Sequence[Sent], of: Iterable[AdmittedTouch | Retraction]
) -> list[Outgoing]:
    """Return who is told on its way: to the partition of the record's touches, whose owner reads.

    The records are `of` these touches and retractions.
    """
    places = {each.record_id: each.place for each in of}
    return [
        Outgoing(
            topic=SENT.name,
            key=sent.record_id,
            value=codec.encode(sent),
            partition=places[sent.record_id].partition,
        )
        for sent in sents
    ]
