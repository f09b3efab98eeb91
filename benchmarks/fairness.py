"""How much one agency's flood delays the alerts of the others: `make bench-fairness`.

Agencies publish their share of touches to one Apache Kafka, with one worker and Redis: a hundred
with one touch a second, then ten with ten. One of them goes from its share to fifty times of it
and back, calm and flood in turns within one run, because machines differ from one minute to the
next by more than what is looked for: once without a quota, once with that which `exchange onboard`
gives an agency. What is timed is the others' way from sending to alert. All touches are made
before. At the end the same agency sends as fast as it can.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.match import made, services
from benchmarks.match.latency import load, worker
from schemas import codec
from schemas.messages import Alert
from schemas.topics import ALERTS, TOUCHES, WATCHES
from silenthit.bus.clients import KafkaSettings, Publisher, TopicReader
from silenthit.bus.rights import Role
from silenthit.bus.sender import SenderKey
from stream_processors.brokers.onboarding import QUOTAS
from stream_processors.brokers.quotas import set_quotas

SENDERS = [SenderKey(f"MA01301{number:02}#1", bytes([number]) * 32) for number in range(91)]
FLOODER, *OTHERS = SENDERS
SHARES = {100: 1, 10: 10}  # touches a second of an agency, by how many agencies there are
OTHERS_RATE = 90  # touches a second of all others together
TIMES = 50
CALM = 1.0  # touches a second of the agency that floods, while it does not
MATCHING = 0.3  # of the others' touches, more than in life, so that there are alerts to time
QUOTA = QUOTAS[Role.AGENCY]["producer_byte_rate"]  # beyond which the brokers slow an agency down
FLOOD_CLIENT = "bench-flood"  # a town without certificates knows who it is by this
FLOOD_MATCHING = 0.001  # as in life: who floods does not know what is watched
NICE = 10  # who floods has a machine of its own, and its client is busy while it is slowed down
WATCHES_HELD = 20_000
SETTLE_S = 2.0  # of each phase, not counted
WARM_S = 45.0  # of flood before anything is counted: the broker compiles what it does often
BURST = 40_000  # touches, as fast as they can be sent
DRAIN_S = 60.0
AROUND_S = 150.0  # before, between and after the phases, at most
FIRST = 50  # alerts that came before anything is timed
BOUND = 1.2
MOST_UNDER_WAY = 100  # touches of the flooder: the others wait in its outbox
KINDS = ("calm", "flood", "quota")  # the last a flood, too
Phase = tuple[str, float, float]  # one of these, from when to when
Touches = list[tuple[bytes, bytes, Any]]


@dataclass(slots=True)
class Timed:
    """When the others' touches were sent, and when their alerts came."""

    sent: dict[bytes, float] = field(default_factory=dict)
    came: dict[bytes, float] = field(default_factory=dict)

    def between(self, began: float, ended: float) -> list[float]:
        """Return the ms that each alert took, of touches sent in this time."""
        return [
            (self.came[key] - at) * 1000
            for key, at in self.sent.copy().items()
            if began <= at < ended and key in self.came
        ]


def flood(
    kafka: KafkaSettings,
    rate: Synchronized[float],
    burst: Synchronized[int],
    reserve: int,
    matching: float,
) -> None:
    """Be the agency that floods: `rate` touches a second, or when told a burst. A process.

    `reserve` is how many touches it will send but for the burst.
    """
    os.nice(NICE)
    count = BURST + int(reserve * 1.1)
    stream = iter(list(made.touches(count, matching, WATCHES_HELD, seed=21, sender=FLOODER)))
    with Publisher(kafka, client_id=FLOOD_CLIENT, linger_ms=0) as publisher:
        due = time.perf_counter()
        burst.value = 0  # ready
        waiting: deque[Future[Any]] = deque()
        while (rate_now := rate.value) > 0:
            if burst.value:
                for key, value, headers in itertools.islice(stream, BURST):
                    publisher.send(TOUCHES.name, key, value, headers=headers)
                publisher.flush()
                burst.value = 0
            key, value, headers = next(stream)
            due = max(due + 1 / rate_now, time.perf_counter() - 0.1)
            time.sleep(max(0.0, due - time.perf_counter()))
            waiting.append(publisher.send(TOUCHES.name, key, value, headers=headers))
            while len(waiting) > MOST_UNDER_WAY or (waiting and waiting[0].done()):
                waiting.popleft().result()


def others_touches(seconds: float) -> Touches:
    """Return what the others send in this time, each its share."""
    each = int(seconds * OTHERS_RATE / len(OTHERS)) + 1
    streams = [
        made.touches(each, MATCHING, WATCHES_HELD, seed=30 + number, sender=sender)
        for number, sender in enumerate(OTHERS)
    ]
    return [touch for several in zip(*streams, strict=True) for touch in several]


def publish(kafka: KafkaSettings, touches: Touches, timed: Timed, stop: threading.Event) -> None:
    """Be the others: their touches, evenly."""
    with Publisher(kafka, client_id="bench-others", linger_ms=0) as publisher:
        began = time.perf_counter()
        for number, (key, value, headers) in enumerate(touches):
            due = began + number / OTHERS_RATE
            if stop.wait(max(0.0, due - time.perf_counter())):
                return
            timed.sent[key] = time.perf_counter()
            publisher.send(TOUCHES.name, key, value, headers=headers)


def receive(kafka: KafkaSettings, timed: Timed, stop: threading.Event) -> None:
    """Be the partner: note when the first alert of each record comes."""
    with TopicReader(
        kafka, [ALERTS.of(made.PARTNER)], client_id="bench-alerts", from_end=True
    ) as reader:
        while not stop.is_set():
            for message in reader.read(1_000, 0.2):
                now = time.perf_counter()
                if message.value:
                    timed.came.setdefault(codec.decode(message.value, Alert).record_id, now)


def measure(
    kafka: KafkaSettings, pairs: int, phase_s: float, flood_matching: float
) -> dict[str, Any]:
    """Publish, flood and receive beside a running worker; return what was found."""
    context = multiprocessing.get_context("spawn")
    rate, burst = context.Value("d", CALM), context.Value("i", 1)
    lasts = pairs * (phase_s + SETTLE_S)  # of one share's calm, and of each flood
    most = TIMES * max(SHARES.values())  # touches a second
    reserve = int(sum((1 + 2 * TIMES) * share * lasts for share in SHARES.values()) + AROUND_S)
    reserve += int(most * WARM_S)
    given = kafka, rate, burst, reserve, flood_matching
    flooder = context.Process(target=flood, args=given, daemon=True)
    touches = others_touches(len(KINDS) * len(SHARES) * lasts + WARM_S + AROUND_S)
    timed, stop = Timed(), threading.Event()
    flooder.start()
    services.wait_for(lambda: not burst.value, 300)
    threads = [
        threading.Thread(target=publish, args=(kafka, touches, timed, stop)),
        threading.Thread(target=receive, args=(kafka, timed, stop)),
    ]
    for thread in threads:
        thread.start()
    try:
        services.wait_for(lambda: len(timed.came) > FIRST, 60)
        rate.value = float(most)
        time.sleep(WARM_S)
        found: dict[str, Any] = {}
        phases: list[Phase] = []
        for agencies, share in SHARES.items():
            phases.clear()
            for kind in KINDS * pairs:
                limit(kafka, QUOTA if kind == "quota" else None)
                rate.value = float(share if kind == "calm" else share * TIMES)
                time.sleep(SETTLE_S)
                began = time.perf_counter()
                time.sleep(phase_s)
                phases.append((kind, began, time.perf_counter()))
            limit(kafka, None)
            rate.value = CALM
            time.sleep(SETTLE_S)
            found[f"{agencies} agencies"] = _compared(timed, phases)
        burst_began = time.perf_counter()
        burst.value = 1
        services.wait_for(lambda: not burst.value, DRAIN_S)
        burst_sent = time.perf_counter()
        time.sleep(15.0)
        burst_over = time.perf_counter()
        time.sleep(SETTLE_S)
    finally:
        rate.value = 0.0
        stop.set()
        for thread in threads:
            thread.join()
        flooder.join(10)
    found["burst"] = _burst(timed, burst_began, burst_sent, burst_over)
    return found


def limit(kafka: KafkaSettings, bytes_per_s: float | None) -> None:
    """Have the broker slow the flooder down beyond this; None lifts it."""
    set_quotas(kafka, ("client-id", FLOOD_CLIENT), {"producer_byte_rate": bytes_per_s})


def _compared(timed: Timed, phases: list[Phase]) -> dict[str, Any]:
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind, began, ended in phases:
        found[kind] += timed.between(began, ended)
    calm = found["calm"]
    result: dict[str, Any] = {f"{kind}_ms": _row(each) for kind, each in found.items()}
    for kind in KINDS[1:]:
        ratio = np.percentile(found[kind], 99) / np.percentile(calm, 99)
        result[f"p99_{kind}_to_calm"] = round(float(ratio), 3)
        result[f"p99_{kind}_to_calm_95"] = _interval(calm, found[kind])
    return result


def _row(found: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(found, [50, 99])
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "alerts": len(found)}


def _interval(calm: list[float], flooded: list[float]) -> list[float]:
    """Return the 95 % interval of the ratio of the p99s, by resampling."""
    drawn = np.random.default_rng(1)
    ratios = [
        np.percentile(drawn.choice(flooded, len(flooded)), 99)
        / np.percentile(drawn.choice(calm, len(calm)), 99)
        for _ in range(1_000)
    ]
    return [round(float(each), 2) for each in np.percentile(ratios, [2.5, 97.5])]


def _burst(timed: Timed, began: float, sent: float, over: float) -> dict[str, float]:
    during = timed.between(began, over)
    late = [
        at
        for key, at in timed.sent.copy().items()
        if began <= at < over and key in timed.came and timed.came[key] - at > 0.1
    ]
    return {
        "touches": BURST,
        "touches_per_s": round(BURST / (sent - began)),
        "worst_ms": round(max(during), 1),
        "p99": round(float(np.percentile(during, 99)), 1),
        "late_s": round(max(late) - began, 1) if late else 0.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=4, help="phases of calm and of flood, each")
    parser.add_argument("--seconds", type=float, default=12.0, help="of a phase")
    parser.add_argument(
        "--flood-matching", type=float, default=FLOOD_MATCHING, help="share of its touches"
    )
    chosen = parser.parse_args()
    load_before, cores = os.getloadavg()[0], sorted(os.sched_getaffinity(0))
    core = cores[0] if len(cores) > 1 else None
    if core is not None:
        os.sched_setaffinity(0, set(cores[1:]))  # ours, Kafka's and Redis's
    with (
        tempfile.TemporaryDirectory(prefix="bench-fairness-") as folder,
        services.town(Path(folder) / "town") as town,
    ):
        town.enrol(SENDERS)
        town.publish(
            WATCHES.of(made.PARTNER), ((k, v, ()) for k, v in made.registrations(0, WATCHES_HELD))
        )
        load(town, core)
        with worker(town, "fairness", core):
            found = measure(town.kafka, chosen.pairs, chosen.seconds, chosen.flood_matching)
    found["load_before"] = round(load_before, 1)  # of the machine: beyond its cores, of others
    for agencies, share in SHARES.items():
        row = found[f"{agencies} agencies"]
        print(
            f"{agencies} agencies with {share} touches a second, one with {TIMES * share}; "
            f"with a quota, at most {QUOTA / 1000:g} kB/s",
            file=sys.stderr,
        )
        for kind in KINDS:
            print(f"  {kind:6}{row[f'{kind}_ms']}", file=sys.stderr)
        for kind in KINDS[1:]:
            low, high = row[f"p99_{kind}_to_calm_95"]
            ratio = row[f"p99_{kind}_to_calm"]
            print(
                f"  p99, {kind} to calm: {ratio} (95 %: {low} to {high}), bound {BOUND}",
                file=sys.stderr,
            )
    print(f"as fast as it can: {found['burst']}", file=sys.stderr)
    print(json.dumps(found | {"times": TIMES, "flood_matching": chosen.flood_matching}))


if __name__ == "__main__":
    main()
