"""The match engine on Apache Kafka: touches a second of five contenders, latency, index, scaling.

make bench-match                    a table on standard error, one JSON object on standard output
python benchmarks/match --quick     the same, small: a minute, and figures that mean little

Each contender is a process of its own on one core (Kafka and Redis on another, where there is one),
reads the same touches from the same topic, and has loaded all watches before. `cpu_us_per_touch` is
what the process used of its core and hardly changes with neighbours on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # run as a directory, Python would look for modules in it

from benchmarks.match import made, services  # noqa: E402
from benchmarks.match.latency import index_row, latencies, load  # noqa: E402
from benchmarks.match.quix import quix_python  # noqa: E402
from benchmarks.match.scaling import scaling  # noqa: E402
from schemas.topics import TOUCHES, WATCHES  # noqa: E402

CONTENDERS = ("faust_stock", "faust", "bare", "quixstreams", "drop")
MATCHING = 0.001
WAIT_S = 400
FEWEST = 12_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much of everything."""

    watches: int
    touches: int
    stock_touches: int  # of which fewer will do
    latency_s: float
    parts: str = "throughput,latency,scaling"


FULL = Size(watches=1_000_000, touches=150_000, stock_touches=40_000, latency_s=20)
QUICK = Size(
    watches=20_000, touches=12_000, stock_touches=6_000, latency_s=4, parts="throughput,latency"
)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(
    town: services.Town, name: str, count: int, *, core: int | None, pointers: bool
) -> dict[str, Any]:
    """Run one contender to its end; return what it printed."""
    town.empty_redis()
    configuration = town.folder / f"{name}.json"
    group = f"{name}-{'on' if pointers else 'off'}"
    configuration.write_text(town.settings(group).model_dump_json(), encoding="utf-8")
    python = quix_python() if name == "quixstreams" else sys.executable
    if python is None:
        return {}
    command = [python, "-m", "benchmarks.match.contender", name, str(configuration), str(count)]
    command += [] if pointers else ["--pointers-off"]
    command += [] if core is None else ["--core", str(core)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def throughput(
    town: services.Town, size: Size, names: Sequence[str], core: int | None
) -> dict[str, dict[str, Any]]:
    """Run every contender with pointers, and again without."""
    rows: dict[str, dict[str, Any]] = {"pointers_on": {}, "pointers_off": {}}
    say(f"{'':14}{'touches/s':>12}{'CPU us':>9}   pointers")
    for pointers, row in ((True, "pointers_on"), (False, "pointers_off")):
        for name in names:
            if name == "drop" and not pointers:
                continue
            count = size.stock_touches if name == "faust_stock" else size.touches
            found = rows[row][name] = run(town, name, count, core=core, pointers=pointers)
            if found:
                say(
                    f"{name:14}{found['touches_per_s']:12,.0f}{found['cpu_us_per_touch']:9.1f}"
                    f"   {'on' if pointers else 'off'}   {where(found)}"
                )
    return rows


def where(found: dict[str, Any]) -> str:
    """Say where the time goes: stages of the main thread, then threads."""
    parts = {**found["stages_us"], **{f"[{k}]": v for k, v in found["threads_us"].items()}}
    return ", ".join(f"{name} {spent:.1f}" for name, spent in parts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--watches", type=int)
    parser.add_argument("--touches", type=int)
    parser.add_argument("--parts", help="of throughput,latency,scaling; --quick leaves out scaling")
    chosen = parser.parse_args()
    if chosen.touches is not None and chosen.touches < FEWEST:
        parser.error(f"expected at least {FEWEST:,} touches: several batches have to be timed")
    base = QUICK if chosen.quick else FULL
    size = Size(
        watches=chosen.watches or base.watches,
        touches=chosen.touches or base.touches,
        stock_touches=min(base.stock_touches, chosen.touches or base.touches),
        latency_s=base.latency_s,
    )
    parts = chosen.parts or base.parts
    cores = sorted(os.sched_getaffinity(0))
    worker_core = cores[0] if len(cores) > 1 else None
    if worker_core is not None:
        os.sched_setaffinity(0, set(cores[1:]))  # ours, Kafka's and Redis's
    result: dict[str, Any] = {"watches": size.watches, "touches": size.touches, "cores": len(cores)}
    with (
        tempfile.TemporaryDirectory(prefix="bench-match-") as folder,
        services.town(Path(folder) / "town") as town,
    ):
        sample = [value for _, value, _ in made.touches(500, 0.0, size.watches)]
        result["mix"] = made.describe(sample)
        result["matching"] = MATCHING
        say(result["mix"])
        watches = ((k, v, ()) for k, v in made.registrations(0, size.watches))
        town.publish(WATCHES.of(made.PARTNER), watches)
        cold, warm = load(town, worker_core), load(town, worker_core)
        result["index"] = index_row(cold, warm)
        say(f"index: {result['index']}")
        if "throughput" in parts:
            town.publish(TOUCHES.name, made.touches(size.touches, MATCHING, size.watches, seed=1))
            rows = throughput(town, size, chosen.only, worker_core)
            result["touches_per_s"] = {
                row: {name: round(found["touches_per_s"]) for name, found in each.items() if found}
                for row, each in rows.items()
            }
            result["cpu_us_per_touch"] = {
                row: {
                    name: {
                        "all": round(found["cpu_us_per_touch"], 1),
                        "stages": found["stages_us"],
                        "threads": found["threads_us"],
                    }
                    for name, found in each.items()
                    if found
                }
                for row, each in rows.items()
            }
        if "latency" in parts:
            found, visible = latencies(town, size.watches, size.latency_s, worker_core)
            result["latency_ms"] = found
            result["index"]["update_visible_ms_p99"] = visible
            say(f"latency: {found}, update visible p99 {visible:.0f} ms")
        if "scaling" in parts:
            result["scaling"] = scaling(town, size.touches, say)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
