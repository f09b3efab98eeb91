"""Triage: whether the person in an opened touch is the person watched, plaintext with plaintext."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from consumers.areas import WatchedArea
from consumers.settings import TriageSettings
from schemas.parts import Frozen, Identifier, Subject, TouchCommon
from silenthit.errors import SettingsError
from silenthit.identity.compare import Comparison, Decision, compare_prepared
from silenthit.identity.model import Model, default_model
from silenthit.identity.prepare import prepare

SEVERITY = {Decision.DISCARDED: 0, Decision.POSSIBLE: 1, Decision.HIT: 2}


class Verdict(Frozen):
    """What triage made of an alert; its reasons quote subject data."""

    decision: Decision
    probability: float
    weight: float
    reasons: tuple[str, ...]
    touch_subject: int  # the pair that decided
    watch_subject: int
    of_place: bool = False  # the pair is of a place and a time, and nobody was compared

    def by_association(self) -> Verdict:
        """Return the same for what was only followed to: whoever it is, it is no hit."""
        if self.decision is not Decision.HIT:
            return self
        return self.model_copy(update={"decision": Decision.POSSIBLE})


def open_model(settings: TriageSettings) -> Model:
    """The model that a partner's settings name, with its thresholds. Raises SettingsError."""
    model = Model.load(settings.model) if settings.model else default_model()
    hit = model.hit if settings.hit is None else settings.hit
    possible = model.possible if settings.possible is None else settings.possible
    if not 0 < possible <= hit < 1:
        raise SettingsError(
            f"expected 0 < possible <= hit < 1 in [triage], got possible {possible} and hit {hit}; "
            "correct one of them"
        )
    return replace(model, hit=hit, possible=possible)


def triage(
    watched: Sequence[Subject],
    seen: dict[int, Subject],
    pairs: Iterable[tuple[int, int]],
    items: Sequence[Identifier],
    *,
    model: Model | None = None,
) -> Verdict | None:
    """Compare the pairs (touch subject, watch subject) that the tokens tie; the worst one decides.

    None when the agency's policy showed none of those subjects to this opener. `items` are the
    touch's identifiers tied to nobody; `model` is the shipped one unless `open_model` gave another.
    """
    pairs = [(theirs, ours) for theirs, ours in pairs if theirs in seen and ours < len(watched)]
    own = {ours: prepare(watched[ours]) for _, ours in pairs}
    others = {theirs: prepare(seen[theirs], items=items) for theirs, _ in pairs}
    verdicts = [
        _verdict(compare_prepared(own[ours], others[theirs], model=model), theirs, ours)
        for theirs, ours in pairs
    ]
    return max(verdicts, key=_weight, default=None)


def triage_place(
    watched: WatchedArea, common: TouchCommon | None, pair: tuple[int, int]
) -> Verdict | None:
    """Compare a planned operation with the place watched, exactly; the tokens say only nearly.

    None when the agency's policy does not show where and when it is.
    """
    if common is None or common.area is None:
        return None
    met = watched.meets(common.area)
    return Verdict(
        decision=Decision.HIT if met else Decision.DISCARDED,
        probability=float(met),
        weight=0.0,
        reasons=watched.how(common.area),
        touch_subject=pair[0],
        watch_subject=pair[1],
        of_place=True,
    )


def weightier(one: Verdict | None, other: Verdict | None) -> Verdict | None:
    """Of two the one that decides; none, where nothing could be compared, is possible."""
    known = [each for each in (one, other) if each is not None]
    most = max(known, key=_weight, default=None)
    unsure = None in (one, other) and most is not None and most.decision is Decision.DISCARDED
    return None if unsure else most


def _weight(each: Verdict) -> tuple[int, float]:
    return SEVERITY[each.decision], each.weight


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
