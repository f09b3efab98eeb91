"""Run many histories on all cores: `python -m tests.histories.run --histories 3000 --seed 0`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import structlog

from stream_processors import steady
from tests.histories.history import History
from tests.histories.planted import PLANTED, RARE, Plant

AT_ONCE = 50


@dataclass
class Totals:
    """What came of several histories; a fault names its seed."""

    histories: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, other: Totals) -> None:
        self.histories += other.histories
        self.counts += other.counts
        self.faults += other.faults

    def __str__(self) -> str:
        said = ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()))
        return f"{self.histories:,} histories: {said}; faults {len(self.faults)}"


def run_one(seed: int, plant: Plant = lambda worker: None, *, overlap: bool = True) -> Totals:
    """Run the history of one seed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    steady.FIRST_DELAY_S = steady.MAX_DELAY_S = 0.0  # a simulated service is never away for long
    history = History(seed, plant, overlap=overlap)
    verdict = asyncio.run(history.run())
    counts = history.counts
    counts["required"], counts["optional"] = verdict.required, len(verdict.optional)
    counts["required missing"] = len(verdict.missing)
    counts["forbidden present"] = len(verdict.forbidden)
    counts["doubled"] = len(verdict.doubled)
    return Totals(1, counts, [f"seed {seed}: {fault}" for fault in verdict.faults])


def run_several(seeds: Iterable[int]) -> Totals:
    """Run the histories of these seeds, one after the other."""
    totals = Totals()
    for seed in seeds:
        totals.add(run_one(seed))
    return totals


def run_many(first: int, count: int) -> Totals:
    """Run histories on every core."""
    starts = range(first, first + count, AT_ONCE)
    batches = [range(start, min(start + AT_ONCE, first + count)) for start in starts]
    totals = Totals()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for each in pool.map(run_several, batches):
            totals.add(each)
    return totals


def first_noticed(name: str, most: int) -> int | None:
    """Return the first seed whose judge notices a planted bug, by the bug's name.

    Some bugs show where batches overlap, others where one follows the other.
    """
    (plant,) = (each for each in (*PLANTED, *RARE) if each.__name__ == name)

    def noticed(seed: int) -> bool:
        return any(run_one(seed, plant, overlap=overlap).faults for overlap in (True, False))

    return next(filter(noticed, range(most)), None)


def main() -> int:
    """Run them and print what came of them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--histories", type=int, default=3_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    totals = run_many(given.seed, given.histories)
    for fault in totals.faults[:20]:
        print(fault)  # noqa: T201 a command of its own
    print(f"seeds {given.seed} to {given.seed + given.histories - 1}: {totals}")  # noqa: T201
    return bool(totals.faults)


if __name__ == "__main__":
    sys.exit(main())
