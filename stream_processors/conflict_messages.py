"""What one side of a conflict is told: the other's card as far as its own tokens open it, sealed.

Every message has one size, whether it tells, updates or withdraws.
"""

from __future__ import annotations

import numpy as np

from schemas import codec
from schemas.inquiries import SealedCard
from schemas.messages import SubjectTouch
from schemas.operations import Conflict, ConflictBody, ConflictStatus
from schemas.packing import GRANT, LOCK, MATCH, rows
from schemas.vocabulary import is_of_a_subject
from silenthit.blinding.envelope import BUCKETS, LENGTH_BYTES, seal_to
from stream_processors.conflict_admission import Planned
from stream_processors.look_up_cards import CARD_PART, sealed_card

MOST_BYTES = BUCKETS[0] - LENGTH_BYTES
MOST_SUBJECTS = 8  # of the other's, that are shown; the place first
_FIRST_SUBJECT_PART = 2


def told(conflict: bytes, own: Planned, other: Planned, *, at: int, probes: int) -> Conflict:
    """Tell the agency of `own` of `other`, which it is in conflict with."""
    found = sealed_card(other.touch, own.asks)
    assert found is not None
    card, subjects = _first(found, other.touch)
    body = ConflictBody(
        status=ConflictStatus.ACTIVE, at=at, revision=other.revision, probes=probes, card=card
    )
    parts: tuple[bytes, ...] = ()
    for number in subjects:
        more = (*parts, other.touch.parts[_FIRST_SUBJECT_PART + number])
        if len(codec.encode(body.model_copy(update={"parts": more}))) > MOST_BYTES:
            break
        parts = more
    return _sealed(conflict, own, body.model_copy(update={"parts": parts}))


def withdrawn(conflict: bytes, own: Planned, *, revision: int, at: int) -> Conflict:
    """Tell the agency of `own` that a conflict is over."""
    body = ConflictBody(status=ConflictStatus.WITHDRAWN, at=at, revision=revision)
    return _sealed(conflict, own, body)


def _sealed(conflict: bytes, own: Planned, body: ConflictBody) -> Conflict:
    content = codec.encode(body)
    sealed = seal_to(own.reply_key, content, conflict + own.record_id)
    return Conflict(conflict_id=conflict, record_id=own.record_id, sealed=sealed)


def _first(card: SealedCard, touch: SubjectTouch) -> tuple[SealedCard, list[int]]:
    """Keep the place and the first subjects; return their card, and which subjects have a part.

    Of the grants those of card, signature and each kept subject's own part.
    """
    matches, locks = rows(card.matches, MATCH), rows(card.locks, LOCK)
    people = {int(row["touch_subject"]): is_of_a_subject(int(row["kind"])) for row in matches}
    kept = sorted(people, key=lambda number: (people[number], number))[:MOST_SUBJECTS]
    last = len(touch.parts) - 1
    grants = rows(touch.grants, GRANT)
    own = grants["part"] == grants["subject"].astype(np.uint16) + _FIRST_SUBJECT_PART
    wanted = np.isin(grants["part"], [CARD_PART, last]) | own
    trimmed = card.model_copy(
        update={
            "matches": matches[np.isin(matches["touch_subject"], kept)].tobytes(),
            "locks": locks[np.isin(locks["subject"], kept)].tobytes(),
            "grants": grants[np.isin(grants["subject"], kept) & wanted].tobytes(),
        }
    )
    shown = [number for number in sorted(kept) if people[number]]
    return trimmed, [number for number in shown if _FIRST_SUBJECT_PART + number < last]
