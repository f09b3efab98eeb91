"""Whether two ways of doing one thing take equally long, as an equivalence test has it.

Two one-sided tests (Schuirmann 1987) by way of a bootstrap interval: equivalent when the whole
interval lies within the bound. The difference in medians is taken block by block of what was
measured one after the other, so that a machine that grows slower meanwhile does not blur it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.99
RESAMPLES = 2_000
BLOCK = 100  # samples; fewer where few were taken, as the interval is of the blocks' median

Sample = tuple[bool, float]  # whether the subject is watched, and ms


@dataclass(frozen=True)
class Interval:
    """Difference in medians, watched less unwatched, in ms."""

    low: float
    high: float
    samples: int

    def within(self, bound_ms: float) -> bool:
        return -bound_ms <= self.low and self.high <= bound_ms

    def __str__(self) -> str:
        return f"[{self.low:+.3f}, {self.high:+.3f}] ms over {self.samples} samples"


def difference_in_medians(
    samples: Sequence[Sample], *, block: int = BLOCK, seed: int = 1
) -> Interval:
    """Return the interval, from samples in the order they were taken in."""
    random = np.random.default_rng(seed)
    blocks = [samples[at : at + block] for at in range(0, len(samples), block)]
    found = np.array([each for each in map(_difference, blocks) if each is not None])
    chosen = random.integers(0, found.size, (RESAMPLES, found.size))
    medians = np.median(found[chosen], axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Interval(float(low), float(high), len(samples))


def _difference(block: Sequence[Sample]) -> float | None:
    watched = [ms for is_watched, ms in block if is_watched]
    unwatched = [ms for is_watched, ms in block if not is_watched]
    if not watched or not unwatched:
        return None
    return float(np.median(watched) - np.median(unwatched))
