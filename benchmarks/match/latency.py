"""How long from a touch's sending to its alert's arrival, and until a new watch takes effect."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.match import made, services
from schemas import codec
from schemas.messages import Alert
from schemas.topics import ALERTS, TOUCHES, WATCHES
from silenthit.bus.clients import Publisher, TopicReader

TOUCHES_A_SECOND = 500
WATCHES_A_MINUTE = 1_000
MATCHING = 0.2  # more than in life, so that there are alerts to time
WARM_S = 8.0  # a broker that has moved large batches compiles anew for small ones: not counted
READY_S = 400


@contextmanager
def worker(
    town: services.Town, group: str, core: int | None, name: str = "bench"
) -> Iterator[dict[str, Any]]:
    """Run a worker until its index is loaded; on leaving, stop it. Yields what it tells."""
    configuration, output = town.folder / f"{group}.json", town.folder / f"{group}-{name}.out"
    configuration.write_text(town.settings(group).model_dump_json(), encoding="utf-8")
    ready = output.with_suffix(".ready")
    for each in (output, ready, output.with_suffix(".stop")):
        each.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.match.serve", str(configuration), str(output)]
    command += ["--name", name] + ([] if core is None else ["--core", str(core)])
    with (town.folder / f"{group}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=services.ROOT, stderr=log, stdout=log)
    told: dict[str, Any] = {}
    try:
        services.wait_for(lambda: ready.exists() or process.poll() is not None, READY_S)
        if process.poll() is not None:
            raise SystemExit((town.folder / f"{group}.log").read_text()[-3000:])
        told |= json.loads(output.read_text(encoding="utf-8")) | {"pid": process.pid}
        yield told
        output.with_suffix(".stop").touch()
        process.wait(20)
        told |= json.loads(output.with_suffix(".end").read_text(encoding="utf-8"))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def load(town: services.Town, core: int | None) -> dict[str, Any]:
    """Start a worker, wait until it has loaded and written its snapshot, and stop it."""
    snapshot = town.settings("load").snapshot
    with worker(town, "load", core) as told:
        services.wait_for(snapshot.exists, 120)
    return told


def index_row(cold: dict[str, Any], warm: dict[str, Any]) -> dict[str, Any]:
    return {
        "watches": warm["watches"],
        "bytes_per_watch": round(warm["bytes"] / warm["watches"], 1),
        "resident_bytes_per_watch": round(warm["resident"] / warm["watches"], 1),
        "cold_load_s": round(cold["seconds"], 2),
        "cold_load_cpu_s": round(cold["cpu_seconds"], 2),
        "snapshot_load_s": round(warm["seconds"], 2),
        "snapshot_load_cpu_s": round(warm["cpu_seconds"], 2),
    }


def latencies(
    town: services.Town, watches: int, seconds: float, core: int | None
) -> tuple[dict[str, float], float]:
    """Return percentiles of produce-to-alert in ms, and the p99 of a watch's way into the index."""
    with worker(town, "latency", core) as told:
        _catch_up(town, watches)
        alone = _produce_to_alert(town, watches, seconds, seed=11)
        stop = threading.Event()
        adding = threading.Thread(target=_add_watches, args=(town, watches, stop))
        adding.start()
        try:
            loaded = _produce_to_alert(town, watches, seconds, seed=12)
        finally:
            stop.set()
            adding.join()
    p50, p99 = np.percentile(alone, [50, 99])
    while_adding = np.percentile(loaded, [50, 99])
    found = {
        "p50": round(float(p50), 2),
        "p99": round(float(p99), 2),
        "p50_while_adding": round(float(while_adding[0]), 2),
        "p99_while_adding": round(float(while_adding[1]), 2),
        "alerts": len(alone) + len(loaded),
    }
    return found, round(float(np.percentile(told["visible_ms"], 99)), 1)


def _catch_up(town: services.Town, watches: int) -> None:
    """Wait until the worker has passed what was in the topic before: for one more alert of each
    partition's end.
    """
    with TopicReader(
        town.kafka, [ALERTS.of(made.PARTNER)], client_id="bench-before", from_end=True
    ) as reader:
        last = list(made.touches(64, 1.0, watches, seed=13))
        town.publish(TOUCHES.name, last)
        waiting = {key for key, _, _ in last}
        until = time.monotonic() + READY_S
        while waiting and time.monotonic() < until:
            for message in reader.read(1_000, 0.5):
                if message.value:
                    waiting.discard(codec.decode(message.value, Alert).record_id)


def _produce_to_alert(town: services.Town, watches: int, seconds: float, seed: int) -> list[float]:
    """Send touches evenly; return the ms between each one's sending and its alert."""
    sent: dict[bytes, float] = {}
    came: dict[bytes, float] = {}
    done = threading.Event()

    def receive() -> None:
        with TopicReader(
            town.kafka, [ALERTS.of(made.PARTNER)], client_id="bench-alerts", from_end=True
        ) as reader:
            ready.set()
            while not done.is_set():
                for message in reader.read(1_000, 0.2):
                    now = time.perf_counter()
                    if message.value:
                        came.setdefault(codec.decode(message.value, Alert).record_id, now)

    ready = threading.Event()
    receiver = threading.Thread(target=receive)
    receiver.start()
    ready.wait(20)
    count = int(TOUCHES_A_SECOND * (seconds + WARM_S))
    prepared = list(made.touches(count, MATCHING, watches, seed=seed))
    with Publisher(town.kafka, client_id="bench-touches", linger_ms=0) as publisher:
        began = time.perf_counter()
        for number, (key, value, headers) in enumerate(prepared):
            due = began + number / TOUCHES_A_SECOND
            while (now := time.perf_counter()) < due:
                time.sleep(min(0.001, due - now))
            if due - began > WARM_S:
                sent[key] = time.perf_counter()
            publisher.send(TOUCHES.name, key, value, headers=headers)
        publisher.flush()
    time.sleep(1.0)
    done.set()
    receiver.join()
    found = [(came[key] - at) * 1000 for key, at in sent.items() if key in came]
    if len(found) < MATCHING * len(sent) * 0.8:
        raise SystemExit(
            f"expected {MATCHING:.0%} of {len(sent)} touches alerted, got {len(found)}"
        )
    return found


def _add_watches(town: services.Town, watches: int, stop: threading.Event) -> None:
    with Publisher(town.kafka, client_id="bench-watches") as publisher:
        for key, value in itertools.islice(made.registrations(watches, 100_000), 100_000):
            publisher.send(WATCHES.of(made.PARTNER), key, value)
            if stop.wait(60 / WATCHES_A_MINUTE):
                return
