"""Triage: whether the person in an opened touch is the person watched, plaintext with plaintext."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.parts import Frozen, Identifier, Subject
from silenthit.identity.compare import Comparison, Decision, compare

SEVERITY = {Decision.DISCARDED: 0, Decision.POSSIBLE: 1, Decision.HIT: 2}


class Verdict(Frozen):
    """What triage made of an alert; its reasons quote subject data."""

    decision: Decision
    probability: float
    weight: float
    reasons: tuple[str, ...]
    touch_subject: int  # the pair that decided
    watch_subject: int


def triage(
    watched: Sequence[Subject],
    seen: dict[int, Subject],
    pairs: Iterable[tuple[int, int]],
    items: Sequence[Identifier],
) -> Verdict | None:
    """Compare the pairs (touch subject, watch subject) that the tokens tie; the worst one decides.

    None when the agency's policy showed none of those subjects to this opener.
    """
    verdicts = [
        _verdict(compare(watched[ours], seen[theirs], items=items), theirs, ours)
        for theirs, ours in pairs
        if theirs in seen and ours < len(watched)
    ]
    return max(verdicts, key=lambda each: (SEVERITY[each.decision], each.weight), default=None)


def _verdict(found: Comparison, theirs: int, ours: int) -> Verdict:
    return Verdict(
        decision=found.decision,
        probability=found.probability,
        weight=found.weight,
        reasons=found.reasons,
        touch_subject=theirs,
        watch_subject=ours,
    )


def worse(new: Decision, old: Decision | None) -> bool:
    """Whether a decision is worth telling people who heard the old one (None: they heard none)."""
    return SEVERITY[new] > (SEVERITY[old] if old is not None else 0)
