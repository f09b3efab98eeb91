"""Estimate m and u for `silenthit/identity/data/model.json`, as Splink does.

    python -m benchmarks.identity.estimate [febrl4]

u is counted over random pairs, all but a few of them strangers: those that agree in three fields
are left out. m comes by expectation-maximisation over blind candidates and as many random pairs,
u held fixed, fields taken as independent given the truth (Fellegi and Sunter 1969; Winkler 1988).
The true links are not used. Prints JSON like the model's
"levels"; to use your own data, load it as `febrl.Links` with rows of FEBRL's columns.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter, defaultdict
from math import ceil, exp, log

from benchmarks.identity import blind, febrl
from silenthit.identity.levels import levels
from silenthit.identity.match_keys import match_keys
from silenthit.identity.prepare import Prepared, prepare

RANDOM_PAIRS = 200_000
ROUNDS = 15
_TOO_ALIKE = 3
_FLOOR = 1e-7

Pattern = tuple[tuple[str, str], ...]


def _pattern(watched: Prepared, seen: Prepared) -> Pattern:
    return tuple((each.field, each.level) for each in levels(watched, seen))


def _shares(weights: dict[Pattern, float]) -> dict[tuple[str, str], float]:
    """Share of each level among the pairs in which its field was compared."""
    by_level: dict[tuple[str, str], float] = defaultdict(float)
    by_field: dict[str, float] = defaultdict(float)
    for pattern, weight in weights.items():
        for field, level in pattern:
            by_level[field, level] += weight
            by_field[field] += weight
    return {key: max(_FLOOR, value / by_field[key[0]]) for key, value in by_level.items()}


def estimate(links: febrl.Links) -> dict[str, dict[str, list[float]]]:
    """Return {field: {level: [m, u]}}."""
    watched = {key: febrl.subject(row) for key, row in links.watched.items()}
    seen = {key: febrl.subject(row) for key, row in links.seen.items()}
    ready = {key: prepare(subject) for key, subject in watched.items()}
    others = {key: prepare(subject) for key, subject in seen.items()}
    draw = random.Random(3)
    keys_a, keys_b = list(ready), list(others)
    random_pairs = Counter(
        _pattern(ready[draw.choice(keys_a)], others[draw.choice(keys_b)])
        for _ in range(RANDOM_PAIRS)
    )
    strangers = {
        pattern: count
        for pattern, count in random_pairs.items()
        if sum(level == "same" for _, level in pattern) < _TOO_ALIKE
    }
    u = _shares({pattern: float(count) for pattern, count in strangers.items()})
    index = blind.index(match_keys(subject) for subject in watched.values())
    candidates = Counter(
        _pattern(ready[keys_a[owner]], others[key])
        for key, subject in seen.items()
        for owner in index.candidates(match_keys(subject))
        if keys_a[owner] != key
    )
    share = candidates.total() / RANDOM_PAIRS
    for pattern, count in strangers.items():
        candidates[pattern] += ceil(count * share)
    m = _maximise(candidates, u)
    table: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for field, level in sorted({*m, *u}):
        if field == "name":  # only compared where it matters, so its shares are of a chosen few
            continue
        pair = m.get((field, level), _FLOOR), u.get((field, level), _FLOOR)
        table[field][level] = [float(f"{value:.3g}") for value in pair]
    return table


def _maximise(
    candidates: Counter[Pattern], u: dict[tuple[str, str], float]
) -> dict[tuple[str, str], float]:
    """EM from a guess that leans to agreement, so that the true class is the one that agrees."""
    m = {key: 0.9 if key[1] == "same" else 0.05 for pattern in candidates for key in pattern}
    prior = 0.1
    for _ in range(ROUNDS):
        truly: dict[Pattern, float] = {}
        for pattern, count in candidates.items():
            odds = log(prior / (1 - prior)) + sum(
                log(m[key]) - log(u.get(key, _FLOOR)) for key in pattern
            )
            truly[pattern] = count / (1 + exp(-max(-500.0, min(500.0, odds))))
        prior = min(0.999, sum(truly.values()) / candidates.total())
        m |= _shares(truly)
    return m


if __name__ == "__main__":
    print(json.dumps(estimate(febrl.load((sys.argv[1:] or ["febrl4"])[0])), indent=2))
