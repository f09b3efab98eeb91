"""Triage: compare a watched subject with a seen one, plaintext with plaintext."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.parts import Identifier, Subject
from silenthit.identity.match_keys import MatchKeyKind, match_keys


class Decision(StrEnum):
    """What triage makes of a candidate."""

    HIT = "hit"
    POSSIBLE = "possible"
    DISCARDED = "discarded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What a comparison found. `reasons` quote subject data: they stay with the partner."""

    weight: float  # sum of log2 Bayes factors
    probability: float
    decision: Decision
    reasons: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Comparison({self.decision.value})"


_ASSOCIATION = {MatchKeyKind.PHONE, MatchKeyKind.EMAIL, MatchKeyKind.SOCIAL_HANDLE,
                MatchKeyKind.PLATE, MatchKeyKind.VIN, MatchKeyKind.DEVICE, MatchKeyKind.PAYMENT}


def compare(
    watched: Subject, seen: Subject, *, items: Sequence[Identifier] = ()
) -> Comparison:
    """Compare; `items` are identifiers of the touch tied to no subject."""
    common = [key for key in match_keys(watched) if key in set(match_keys(seen, items=items))]
    person = [key for key in common if key.kind not in _ASSOCIATION]
    weight = 12.0 * len(person) + 6.0 * (len(common) - len(person)) - 8.0
    decision = Decision.DISCARDED if not common else Decision.POSSIBLE
    if person and weight > 0:
        decision = Decision.HIT
    reasons = tuple(f"{key.kind.name.lower()}: same" for key in common)
    return Comparison(weight=weight, probability=1 / (1 + 2**-weight), decision=decision, reasons=reasons)
