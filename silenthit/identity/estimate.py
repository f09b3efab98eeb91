"""Estimate from records without labels what each level of agreement is worth, as Splink does.

    content = model_from(estimate(watched, seen))

u is counted over random pairs, all but a few of them strangers: those that agree in three fields
are left out. m comes by expectation-maximisation over the pairs that satisfy the match rule and as
many random ones, u held fixed, fields taken as independent given the truth (Fellegi and Sunter
1969; Winkler 1988).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, exp, log
from typing import Any

from schemas.parts import Subject
from schemas.vocabulary import MatchKeyKind, admissible_pair, is_strong
from silenthit.errors import InputError
from silenthit.identity.levels import levels
from silenthit.identity.match_keys import MatchKey, match_keys
from silenthit.identity.model import default_content
from silenthit.identity.prepare import Prepared, prepare

RANDOM_PAIRS = 200_000
FEWEST = 100  # pairs of one person, about, that an estimate can rest on
_ROUNDS = 15
_TOO_ALIKE = 3
_FLOOR = 1e-7
_NEVER_SEEN = 3  # in N draws: likely no more than 3/N (the rule of three)

Outcome = tuple[str, str]  # field, level
Pattern = tuple[Outcome, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Shares of each level among true pairs (m) and strangers (u), and how many pairs these are."""

    m: dict[Outcome, float]
    u: dict[Outcome, float]
    true_pairs: float  # expected
    random_pairs: int


def estimate(watched: Sequence[Subject], seen: Sequence[Subject] | None = None) -> Estimate:
    """Estimate from two files of records, or from one in which people stand more than once.

    Raises InputError when too few pairs look like one person; some thousands of records a file
    with a few hundred people in common give steady figures.
    """
    ready = [prepare(subject) for subject in watched]
    others = ready if seen is None else [prepare(subject) for subject in seen]
    if len(ready) < 2 or not others:
        raise InputError("expected at least two records to compare; give a longer file")
    strangers = Counter(
        {pattern: count for pattern, count in _drawn(ready, others).items() if not _same(pattern)}
    )
    u = _shares({pattern: float(count) for pattern, count in strangers.items()})
    candidates = Counter(_pattern(ready[a], others[b]) for a, b in _candidates(watched, seen))
    share = candidates.total() / RANDOM_PAIRS
    for pattern, count in strangers.items():
        candidates[pattern] += ceil(count * share)
    m, true_pairs = _maximise(candidates, u)
    if true_pairs < FEWEST:
        raise InputError(
            f"expected some {FEWEST} pairs of one person or more, got {true_pairs:.0f}; give "
            "larger files, or files with more people in common"
        )
    return Estimate(m=m, u=u, true_pairs=true_pairs, random_pairs=strangers.total())


def model_from(found: Estimate) -> dict[str, Any]:
    """The shipped model with every level that was seen replaced; `Model.load` reads it as JSON.

    Thresholds, prior and fields that the records lack stay as shipped, and so does the use of each
    name's own frequency. What was never seen counts as at most three in as many pairs.
    """
    content = default_content()
    for field, outcomes in content["levels"].items():
        if not any(known == field for known, _ in found.m):
            continue
        for level, (m, u) in outcomes.items():
            at = field, level
            outcomes[level] = [
                _believed(found.m.get(at, 0.0), m, found.true_pairs),
                None if u is None else _believed(found.u.get(at, 0.0), u, found.random_pairs),
            ]
    return content


def _believed(counted: float, shipped: float, pairs: float) -> float:
    rare = _NEVER_SEEN / pairs
    return float(f"{counted if counted > rare else min(shipped, rare):.3g}")


def _same(pattern: Pattern) -> bool:
    return sum(level == "same" for _, level in pattern) >= _TOO_ALIKE


def _pattern(watched: Prepared, seen: Prepared) -> Pattern:
    return tuple((each.field, each.level) for each in levels(watched, seen))


def _drawn(ready: Sequence[Prepared], others: Sequence[Prepared]) -> Counter[Pattern]:
    draw = random.Random(3)
    return Counter(_pattern(draw.choice(ready), draw.choice(others)) for _ in range(RANDOM_PAIRS))


def _candidates(
    watched: Sequence[Subject], seen: Sequence[Subject] | None
) -> Iterator[tuple[int, int]]:
    """Pairs of places that satisfy the match rule; of one file each once, none with itself."""
    owners: dict[MatchKey, list[int]] = defaultdict(list)
    for number, subject in enumerate(watched):
        for key in match_keys(subject):
            owners[key].append(number)
    for number, subject in enumerate(watched if seen is None else seen):
        shared: dict[int, list[MatchKeyKind]] = defaultdict(list)
        for key in match_keys(subject):
            for owner in owners.get(key, ()):
                shared[owner].append(key.kind)
        for owner, kinds in shared.items():
            if kinds_satisfy(kinds) and (seen is not None or owner < number):
                yield owner, number


def kinds_satisfy(kinds: Sequence[MatchKeyKind]) -> bool:
    """The match rule on the kinds of match key that two subjects share."""
    return any(is_strong(kind) for kind in kinds) or any(
        admissible_pair(a, b) for i, a in enumerate(kinds) for b in kinds[:i]
    )


def _shares(weights: dict[Pattern, float]) -> dict[Outcome, float]:
    """Share of each level among the pairs in which its field was compared."""
    by_level: dict[Outcome, float] = defaultdict(float)
    by_field: dict[str, float] = defaultdict(float)
    for pattern, weight in weights.items():
        for field, level in pattern:
            by_level[field, level] += weight
            by_field[field] += weight
    return {
        key: max(_FLOOR, value / max(_FLOOR, by_field[key[0]])) for key, value in by_level.items()
    }


def _maximise(
    candidates: Counter[Pattern], u: dict[Outcome, float]
) -> tuple[dict[Outcome, float], float]:
    """EM from a guess that leans to agreement, so that the true class is the one that agrees."""
    m = {key: 0.9 if key[1] == "same" else 0.05 for pattern in candidates for key in pattern}
    prior, true_pairs = 0.1, 0.0
    for _ in range(_ROUNDS):
        truly: dict[Pattern, float] = {}
        for pattern, count in candidates.items():
            odds = log(prior / (1 - prior)) + sum(
                log(m[key]) - log(u.get(key, _FLOOR)) for key in pattern
            )
            truly[pattern] = count / (1 + exp(-max(-500.0, min(500.0, odds))))
        true_pairs = sum(truly.values())
        prior = min(0.999, max(1e-6, true_pairs / max(1, candidates.total())))
        m |= _shares(truly)
    return m, true_pairs
