"""What a subject's match keys and a pair's triage cost, beside bare rapidfuzz calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from rapidfuzz.distance import OSA, JaroWinkler

from benchmarks.identity import febrl
from silenthit.identity.compare import compare, compare_prepared
from silenthit.identity.match_keys import match_keys
from silenthit.identity.prepare import Name, prepare

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """Medians in microseconds. Cold: the names are new to the process; warm: seen before."""

    match_keys_cold: float
    match_keys: float
    triage_pair: float  # both subjects prepared, as the partner's vault and a touch are
    triage_raw_cold: float  # both prepared anew
    prepare: float  # one subject
    rapidfuzz: float  # four bare calls: two names, a street, a date


def measure() -> Costs:
    """Time each on the true pairs of FEBRL 4, in a process that has seen none of them."""
    links = febrl.load("febrl4")
    pairs = [
        (febrl.subject(links.watched[a]), febrl.subject(links.seen[b]))
        for a, b in sorted(links.true)
    ]
    raw = pairs[: len(pairs) // 2]
    cold = _median(lambda pair: match_keys(pair[0]), pairs[len(raw) :])
    warm = _median(lambda pair: match_keys(pair[0]), pairs[len(raw) :])
    triage_cold = _median(lambda pair: compare(*pair), raw)
    ready = [(prepare(a), prepare(b)) for a, b in pairs]
    words = [
        (a.names[0], b.names[0], a.addresses[0].street, b.addresses[0].street,
         a.birth_dates[0], b.birth_dates[0])
        for a, b in ready
        if a.names and b.names and a.birth_dates and b.birth_dates
    ]  # fmt: skip
    return Costs(
        match_keys_cold=cold,
        match_keys=warm,
        triage_pair=_median(lambda pair: compare_prepared(*pair), ready),
        triage_raw_cold=triage_cold,
        prepare=_median(lambda pair: prepare(pair[0]), pairs),
        rapidfuzz=_median(_bare, words),
    )


def _bare(words: tuple[Name, Name, str, str, str, str]) -> None:
    a, b, street_a, street_b, born_a, born_b = words
    JaroWinkler.similarity(a.surname, b.surname)
    JaroWinkler.similarity(a.given, b.given)
    JaroWinkler.similarity(street_a, street_b)
    OSA.distance(born_a, born_b)


def _median(call: Callable[[T], object], over: Sequence[T]) -> float:
    times = []
    for each in over:
        start = time.perf_counter_ns()
        call(each)
        times.append(time.perf_counter_ns() - start)
    return median(times) / 1000
