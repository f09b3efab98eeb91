"""Triage: compare a watched subject with a seen one, plaintext with plaintext.

>>> from schemas.parts import PersonName, Subject
>>> one = Subject(names=(PersonName(full="Kaminsky, Oleg"),), birth_dates=("1980-01-02",))
>>> other = Subject(names=(PersonName(full="Oleg Kaminski"),), birth_dates=("01/02/1980",))
>>> found = compare(one, other)
>>> found.decision.value, found.reasons[0]
('hit', 'surname: kaminsky ~ kaminski, +6.2')
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp2

from schemas.parts import Identifier, Subject
from silenthit.identity.level import Level
from silenthit.identity.levels import ASSOCIATION_FIELDS, NUMBER_FIELDS, levels
from silenthit.identity.model import Model, default_model
from silenthit.identity.prepare import Prepared, prepare


class Decision(StrEnum):
    """What triage makes of a candidate."""

    HIT = "hit"
    POSSIBLE = "possible"
    DISCARDED = "discarded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What a comparison found. `reasons` quote subject data: they stay with the partner."""

    weight: float  # sum of log2 Bayes factors, the prior left out
    probability: float
    decision: Decision
    reasons: tuple[str, ...]  # one line a field, "surname: kaminsky ~ kaminski, +6.2"

    def __repr__(self) -> str:
        return f"Comparison({self.decision.value})"


# Shared by those who live, drive or talk together: evidence of an association, not of a person.
_ASSOCIATIONS = frozenset({*ASSOCIATION_FIELDS.values(), "address"})
_OF_ONE_OWNER = frozenset(ASSOCIATION_FIELDS.values())
_NUMBERS = frozenset(NUMBER_FIELDS.values())
# Father and son may share both names and the address, but not these.
_TELLS_RELATIVES_APART = frozenset({"birth_date", "suffix"})
_SIGNS = {"same": "=", "different": "!="}


def compare(
    watched: Subject,
    seen: Subject,
    *,
    items: Sequence[Identifier] = (),
    model: Model | None = None,
) -> Comparison:
    """Compare two subjects; `items` are identifiers of the touch tied to no subject.

    A decision is never more than possible on an association alone (phone, e-mail, handle, plate,
    VIN, device, payment, address), nor against another birth date or suffix unless a number (SSN,
    licence, …) is the same. It is never less than possible when one of those associations is the
    same, the address apart.
    """
    return compare_prepared(prepare(watched), prepare(seen, items=items), model=model)


def compare_prepared(
    watched: Prepared, seen: Prepared, *, model: Model | None = None
) -> Comparison:
    """Compare two subjects that `prepare` made ready: for one watch against many touches."""
    model = model or default_model()
    weight = personal = 0.0
    associated = contradicted = numbered = False
    reasons = []
    for each in levels(watched, seen):
        bits = model.weight(each)
        weight += bits
        if each.field not in _ASSOCIATIONS:
            personal += bits
        elif each.level == "same" and each.field in _OF_ONE_OWNER:
            associated = True
        contradicted |= each.level == "different" and each.field in _TELLS_RELATIVES_APART
        numbered |= each.level == "same" and each.field in _NUMBERS
        reasons.append(_reason(each, bits))
    if seen.mentioned or watched.mentioned:
        weight += model.mentioned
        reasons.append(f"only mentioned in a narrative, {model.mentioned:+.1f}")
    probability = _probability(weight + model.prior)
    return Comparison(
        weight=weight,
        probability=probability,
        decision=_decide(
            probability,
            model,
            provable=personal > 0 and (numbered or not contradicted),
            associated=associated,
        ),
        reasons=tuple(reasons),
    )


def _decide(probability: float, model: Model, *, provable: bool, associated: bool) -> Decision:
    if probability >= model.hit and provable:
        return Decision.HIT
    if probability >= model.possible or associated:
        return Decision.POSSIBLE
    return Decision.DISCARDED


def _probability(bits: float) -> float:
    if bits < -1000:
        return 0.0
    return 1 / (1 + exp2(-bits))


def _reason(level: Level, bits: float) -> str:
    sign = _SIGNS.get(level.level, "~")
    return f"{level.field.replace('_', ' ')}: {level.watched} {sign} {level.seen}, {bits:+.1f}"
