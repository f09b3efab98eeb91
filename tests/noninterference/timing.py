"""Whether two ways of doing one thing take equally long, as an equivalence test has it.

Two one-sided tests (Schuirmann 1987) by way of a bootstrap interval: equivalent when the whole
interval lies within the bound. The difference in medians is taken block by block of what was
measured one after the other, so that a machine that grows slower meanwhile does not blur it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LOOKS = 3  # where an interval is too wide to tell, the same number of samples is taken again
CONFIDENCE = 1 - 0.01 / LOOKS  # of each look: 99 % of all together, as Bonferroni has it
RESAMPLES = 5_000
AT_ONCE = 100  # of these: each is as long as what was found
BLOCK = 100  # samples

Sample = tuple[bool, float]  # whether the subject is watched, and ms


@dataclass(frozen=True)
class Interval:
    """Difference in medians, watched less unwatched, in ms."""

    low: float
    middle: float
    high: float
    samples: int

    def within(self, bound_ms: float) -> bool:
        return -bound_ms <= self.low and self.high <= bound_ms

    def beyond(self, bound_ms: float) -> bool:
        """Whether more samples would hardly bring it within the bound."""
        return self.high < -bound_ms or bound_ms < self.low

    def __str__(self) -> str:
        return f"[{self.low:+.3f}, {self.high:+.3f}] ms over {self.samples} samples"


def difference_in_medians(samples: Sequence[Sample], *, block: int = BLOCK) -> Interval:
    """Return the interval, from samples in the order they were taken in."""
    found = map(_difference, _blocks(samples, block))
    return _interval([each for each in found if each is not None], len(samples))


def cost_to_all(samples: Sequence[Sample], *, block: int) -> Interval:
    """Return what one watched more in a block costs every one in it.

    What slows all of a block alike cannot be seen within it, so a block is held against the next
    one, where the two have different numbers of watched.
    """
    blocks = [(_watched(each), _median(each)) for each in _blocks(samples, block)]
    found = [
        (after - before) / (more - fewer)
        for (fewer, before), (more, after) in zip(blocks[::2], blocks[1::2], strict=False)
        if abs(more - fewer) >= block / 4
    ]
    return _interval(found, len(samples))


def _blocks(samples: Sequence[Sample], block: int) -> list[Sequence[Sample]]:
    return [samples[at : at + block] for at in range(0, len(samples), block)]


def _interval(found: Sequence[float], samples: int) -> Interval:
    """Return the interval of a median, by bootstrap."""
    random, values = np.random.default_rng(1), np.array(found)
    medians = np.concatenate(
        [
            np.median(values[random.integers(0, values.size, (AT_ONCE, values.size))], axis=1)
            for _ in range(RESAMPLES // AT_ONCE)
        ]
    )
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Interval(float(low), float(np.median(values)), float(high), samples)


def _watched(block: Sequence[Sample]) -> int:
    return sum(watched for watched, _ in block)


def _median(block: Sequence[Sample]) -> float:
    return float(np.median([ms for _, ms in block]))


def _difference(block: Sequence[Sample]) -> float | None:
    watched = [each for each in block if each[0]]
    unwatched = [each for each in block if not each[0]]
    if not watched or not unwatched:
        return None
    return _median(watched) - _median(unwatched)
