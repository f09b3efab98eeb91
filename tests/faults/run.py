"""Let things break, by seed: python -m tests.faults.run --schedules 500 --seed 1, or --seed N.

Several runs that append to one report add up: python -m tests.faults.run --sum FILE.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.boxes import go_alone
from tests.faults.exchange import Disturb, Exchange, Run, exchange, roll
from tests.faults.planted import PLANTED
from tests.faults.schedule import Schedule
from tests.faults.traffic import Findings

ROUNDS = 2
TRIES = 3  # to notice a planted bug
FRESH = 50


@dataclass(frozen=True)
class Work:
    """One thing to run: a schedule, or something else that disturbs, perhaps with a bug in it."""

    name: str
    schedule: Schedule
    disturb: Disturb | None = None
    plant: str = "none"
    once: bool = False


def main() -> int:
    """Run what is asked; print what befell whom, and what the judge found."""
    given = _options()
    if given.sum:
        print(json.dumps(summed(given.sum)))
        return 0
    if given.schedules > given.fresh:
        return _in_turns(given)
    why_not = "asked for" if given.together else go_alone()
    if why_not:
        print(f"not run: networks and disks of a node's own ({why_not})")
    logging.disable(logging.CRITICAL)  # brokers come and go here; so do complaints
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    summary = _run(given, folder)
    if not (summary["faults"] or given.keep):
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(summary))
    if given.report:
        with given.report.open("a", encoding="utf-8") as report:
            report.write(json.dumps(summary) + "\n")
    return bool(summary["faults"] or summary["not noticed"])


def summed(report: Path) -> dict[str, object]:
    """Add up the runs of a report."""
    counts: Counter[str] = Counter()
    faults: list[str] = []
    seconds, runs = 0, report.read_text("utf-8").splitlines()
    for run in map(json.loads, runs):
        counts.update(run["counts"])
        faults += run["faults"]
        seconds += run["seconds"]
    return {
        "runs": len(runs),
        "seconds": seconds,
        "counts": dict(sorted(counts.items())),
        "faults": faults,
    }


def _in_turns(given: argparse.Namespace) -> int:
    """Run some schedules at a time, each time on an exchange that knows of none before.

    What a Redis that lost everything looks back over, and the disks, grow with each.
    """
    begun, failed = time.monotonic(), False
    for first in range(given.seed, given.seed + given.schedules, given.fresh):
        command = [sys.executable, "-m", "tests.faults.run", *sys.argv[1:], "--seed", str(first)]
        command += ["--schedules", str(min(given.fresh, given.seed + given.schedules - first))]
        if given.until:
            left = given.until - (time.monotonic() - begun)
            if left <= 0:
                break
            command += ["--until", str(left)]
        failed |= bool(subprocess.run(command, check=False).returncode)
    return int(failed)


def _run(given: argparse.Namespace, folder: Path) -> dict[str, object]:
    counts: Counter[str] = Counter()
    faults: list[str] = []
    noticed: dict[str, int] = {}
    begun, at = time.monotonic(), datetime.now(UTC)
    with exchange(folder) as made:
        print(f"three brokers, two workers and Redis after {time.monotonic() - begun:.0f} s")
        for work in _work(given, made):
            try:
                found = _one(made, work)
                for _ in range(TRIES - 1):
                    if work.plant != "none" and not found.faults:
                        found = _one(made, work)  # whom it befalls is chance
            except AssertionError as stuck:
                faults.append(f"{work.name} stuck: {stuck}")
                print(f"{work.name} {work.schedule}\n    {stuck}\n{made.state()}")
                break
            if work.plant != "none":
                noticed[work.plant] = len(found.faults)
                continue
            faults += [f"{work.name}: {each}" for each in found.faults]
            counts += found.counts
            counts["schedules"] += 1
            if given.until and time.monotonic() - begun > given.until:
                break
    return {
        "at": f"{at:%Y-%m-%dT%H:%MZ}",
        "seed": given.seed,
        "seconds": round(time.monotonic() - begun),
        "counts": dict(sorted(counts.items())),
        "faults": faults[:50],
        "noticed": noticed,
        "not noticed": [name for name, count in noticed.items() if not count],
    }


def _one(made: Exchange, work: Work) -> Findings:
    before, at = Counter(made.ended), time.monotonic()
    if work.plant != made.plant:
        made.restart_workers(work.plant)
    found = Run(made, work.schedule).run(work.disturb, once=work.once)
    found.counts["ended by themselves"] = (made.ended - before).total()
    print(f"{work.name} {work.schedule}\n    {time.monotonic() - at:.0f} s; {found}", flush=True)
    for fault in found.faults[:10]:
        print(f"    {fault}", flush=True)
    return found


def _work(given: argparse.Namespace, made: Exchange) -> Iterator[Work]:
    if given.roll:
        nothing = Schedule(given.seed, ())
        yield Work("rolling restart of the workers", nothing, roll(made, ROUNDS), once=True)
    for seed in range(given.seed, given.seed + given.schedules):
        yield Work(f"seed {seed}:", Schedule.of(seed))
    # Last: what a bug lost would be news to whoever looks back over all later.
    for name, (_, schedule, once) in PLANTED.items() if given.planted else ():
        yield Work(f"planted {name}:", schedule, plant=name, once=once)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--schedules", type=int, default=1)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--roll", action="store_true", help="first restart the workers in order")
    options.add_argument("--planted", action="store_true", help="let bugs be noticed, too")
    options.add_argument("--fresh", type=int, default=FRESH, help="schedules on one exchange")
    options.add_argument("--until", type=float, default=0, help="begin none after these seconds")
    options.add_argument("--together", action="store_true", help="as where root is not")
    options.add_argument("--keep", action="store_true", help="keep the logs")
    options.add_argument("--report", type=Path, help="append the summary to this file")
    options.add_argument("--sum", type=Path, help="add up the runs of a report, and run nothing")
    return options.parse_args()


if __name__ == "__main__":
    sys.exit(main())
