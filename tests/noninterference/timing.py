"""Whether two ways of doing one thing take equally long, as an equivalence test has it.

Two one-sided tests (Schuirmann 1987) by way of a bootstrap interval of the difference in medians:
equivalent when the whole interval lies within the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.99
RESAMPLES = 1_000


@dataclass(frozen=True)
class Interval:
    """Difference in medians, watched minus unwatched, in ms."""

    low: float
    high: float
    samples: int

    def within(self, bound_ms: float) -> bool:
        return -bound_ms <= self.low and self.high <= bound_ms

    def __str__(self) -> str:
        return f"[{self.low:+.3f}, {self.high:+.3f}] ms over {self.samples} samples"


def difference_in_medians(
    watched: Sequence[float], unwatched: Sequence[float], seed: int = 1
) -> Interval:
    """Return the interval, from latencies in ms."""
    random = np.random.default_rng(seed)
    first, second = np.asarray(watched), np.asarray(unwatched)
    differences = [
        np.median(random.choice(first, first.size)) - np.median(random.choice(second, second.size))
        for _ in range(RESAMPLES)
    ]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return Interval(float(low), float(high), first.size + second.size)
