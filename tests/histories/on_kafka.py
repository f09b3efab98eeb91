"""Histories on Kafka and Redis: python -m tests.histories.on_kafka --histories 300 --seed 1.

Many histories share one exchange, each with people of its own. A phase is what happens within the
bound, with workers killed, started and partitions moved in it, or Redis restarted without its tail;
after it the exchange catches up. A watch that every partition has to answer for says when.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from schemas import codec
from schemas.messages import Alert, WatchRegistration, registration_key
from schemas.packing import TOKEN, pack
from schemas.topics import ALERTS, TOUCHES, WATCHES
from schemas.vocabulary import CoarseKind
from silenthit.bus.admin import committed_offsets, end_offsets
from silenthit.bus.clients import KafkaSettings, Message, Publisher, TopicReader
from silenthit.errors import RetryError
from tests.exchange_room import FAR, HARBOR, WATCH_KEY, identified, ssn
from tests.histories.judge import Verdict, judge
from tests.histories.outside import Outside, sealed
from tests.histories.workers import PARTNERS
from tests.services import free_port, start_kafka, stop_kafka
from tests.town import Town, wait_until

PHASES = 3
TOGETHER = 10  # histories on one exchange at a time
EVENTS = 4  # of each in a phase
SETTLE_S = 240.0
MOST_PHASE_MS = 900  # below the judge's bound


@dataclass
class Clock:
    """The machine's, which is the broker's too."""

    @property
    def ms(self) -> int:
        return time.time_ns() // 1_000_000

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class KafkaLog:
    """What `Outside` writes to: real topics, and what it wrote."""

    publisher: Publisher
    clock: Clock = field(default_factory=Clock)
    written: list[Message] = field(default_factory=list)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> Message:
        sent = self.publisher.send(topic, key, value, headers=headers, partition=partition)
        place = sent.result(30)
        message = Message(
            topic, partition, place.offset, place.timestamp_ms, key, value, tuple(headers)
        )
        self.written.append(message)
        return message

    def of(self, topic: str, partition: int = 0) -> list[Message]:
        return [m for m in self.written if (m.topic, m.partition) == (topic, partition)]

    def all_of(self, topic: str) -> list[Message]:
        return [m for m in self.written if m.topic == topic]


class ForgetfulRedis:
    """A server of our own: `remember` what it holds, and later come back with no more than that."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def remember(self) -> None:
        with Redis.from_url(self.url) as client:
            client.save()

    def lose_tail(self) -> None:
        self._process.kill()
        self._process.wait()
        self._start()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        command = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._answers, "Redis")

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.url) as client:
                return bool(client.ping())
        except RedisConnectionError:
            return False


@dataclass
class KafkaHistories:
    """One exchange, its workers as processes, and what befalls them."""

    town: Town
    redis: ForgetfulRedis
    random: Random
    log: KafkaLog
    partitions: int
    counts: Counter[str] = field(default_factory=Counter)
    phases: list[tuple[int, int]] = field(default_factory=list)  # broker's ms, first and last

    def run(self, names: Sequence[str]) -> None:
        """Run these histories at the same time."""
        everybody = [
            Outside(
                self.random,
                self.log,
                self.partitions,
                records=4,
                watches=3,
                name=name,
                sealing=PARTNERS[1:],
            )
            for name in names
        ]
        for phase in range(PHASES):
            self.redis.remember()
            before = len(self.log.written)
            self._phase(everybody, last=phase == PHASES - 1)
            times = [message.timestamp_ms for message in self.log.written[before:]]
            self.phases.append((min(times, default=0), max(times, default=0)))
            self.settle(f"{names[0]}-{phase}")
            time.sleep(self.random.choice([0.3, 1.2]))
        self.counts["histories"] += len(names)

    def _phase(self, everybody: Sequence[Outside], *, last: bool) -> None:
        fault = self.random.choice([self._kill, self._kill, self._move, self._forget])
        when = self.random.randrange(EVENTS)
        begun = time.monotonic()
        for turn in range(EVENTS):
            if turn == when:
                fault()
            for outside in everybody:
                # What happens in a phase happens within the bound, however slow the machine is.
                if time.monotonic() - begun < 0.8:
                    outside.act()
                    self.counts["events"] += 1
        if last and time.monotonic() - begun < 0.8:
            for outside in everybody:
                outside.release_all()

    def _kill(self) -> None:
        worker = self.random.choice([each for each in self.town.workers if each.poll() is None])
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.counts["kills"] += 1

    def _move(self) -> None:
        """Another worker joins, or one leaves in order: the partitions are divided anew."""
        running = [each for each in self.town.workers if each.poll() is None]
        if len(running) > 1:
            running[0].send_signal(signal.SIGTERM)
        else:
            self.start()
        self.counts["moves"] += 1

    def _forget(self) -> None:
        self.redis.lose_tail()
        self.counts["losses"] += 1

    def start(self) -> None:
        """Start a worker, without waiting for it."""
        number = len(self.town.workers)
        words = ["exchange", "work", "--name", f"w{number}", *self.town.exchange]
        with (self.town.folder / f"w{number}.log").open("ab") as log:
            command = [sys.executable, "-m", "silenthit", *words]
            self.town.workers.append(subprocess.Popen(command, stdout=log, stderr=log))

    def settle(self, name: str) -> None:
        """Wait until the workers have caught up with touches and watches."""
        for worker in self.town.workers:
            if worker.poll() is not None and worker.returncode not in {0, -9, -15}:
                raise AssertionError(f"expected a worker that runs, got its end {worker.args}")
        while sum(worker.poll() is None for worker in self.town.workers) < 2:
            self.start()
        beacon = self._beacon(name)
        wait_until(lambda: self._caught_up(beacon), "the exchange to catch up", SETTLE_S)

    def _beacon(self, name: str) -> bytes:
        """Register a watch that meets one touch of each partition."""
        tokens = pack([(0, ssn("beacon").kind, ssn("beacon").value)], TOKEN)
        for partner in PARTNERS:
            watch = WatchRegistration(
                registration_id=identified(f"beacon-{name}"),
                partner=partner,
                epoch=1,
                tokens=tokens,
                kinds=(),
                expires_at=FAR,
            )
            key = registration_key(watch.registration_id, 1)
            self.log.append(WATCHES.of(partner), 0, key, codec.encode(watch))
        return identified(f"beacon-{name}")

    def light_beacons(self) -> None:
        """Append the touches that beacons meet, one a partition."""
        lit, number = set(), 0
        while len(lit) < self.partitions:
            number += 1
            record = f"lit{number}"
            key, value, headers = sealed(
                record, 1, ((ssn("beacon"),),), CoarseKind.CONTACT, "2031-01"
            )
            partition = key[0] % self.partitions
            if partition not in lit:
                lit.add(partition)
                self.log.append(TOUCHES.name, partition, key, value, headers)

    def _caught_up(self, beacon: bytes) -> bool:
        try:
            return self._is_caught_up(beacon)
        except RetryError:  # the coordinator is loading
            return False

    def _is_caught_up(self, beacon: bytes) -> bool:
        bus = self.town.kafka
        done, ends = (
            committed_offsets(bus, "exchange", TOUCHES.name),
            end_offsets(bus, TOUCHES.name),
        )
        if any(done[each] < end for each, end in ends.items()):
            return False
        for partner in PARTNERS:
            met = {a.record_id for a in self.alerts(partner) if a.registration_id == beacon}
            if len(met) < self.partitions:
                return False
        return True

    def alerts(self, partner: str) -> list[Alert]:
        return [codec.decode(m.value or b"", Alert) for m in read(self.town.kafka, partner)]

    def verdict(self) -> Verdict:
        alerts = [m for partner in PARTNERS for m in read(self.town.kafka, partner)]
        watches = [m for partner in PARTNERS for m in self.log.of(WATCHES.of(partner))]
        touches = sorted(self.log.all_of(TOUCHES.name), key=lambda m: (m.partition, m.offset))
        # A record lies in one partition, a registration id at two partners is two watches.
        return judge(touches, watches, alerts, self._within_the_bound)

    def _within_the_bound(self, ms: int) -> int:
        """Where a broker was too slow for a phase, put what happened in it closer together."""
        for first, last in self.phases:
            if first <= ms <= last and last - first > MOST_PHASE_MS:
                return first + (ms - first) * MOST_PHASE_MS // (last - first)
        return ms

    def told_of(self, faults: Sequence[str]) -> Iterator[str]:
        """Say what lies in the topics about the pairs that a judge's words name."""
        kept = [m for partner in PARTNERS for m in read(self.town.kafka, partner)]
        for fault in faults:
            names = [each.strip() for each in fault.partition(":")[0].split(" and ")]
            for message in sorted([*self.log.written, *kept], key=lambda m: m.timestamp_ms):
                about = (message.key or b"").hex() + _pair_of(message)
                if any(name in about for name in names):
                    at = message.timestamp_ms - self.phases[0][0]
                    gone = "" if message.value else " gone"
                    yield f"  {at:8,} ms {message.topic}/{message.partition}/{message.offset}{gone}"


def _pair_of(alert: Message) -> str:
    if not alert.topic.startswith(ALERTS.name.partition("{")[0]):
        return ""
    found = codec.decode(alert.value or b"", Alert)
    return f" {found.record_id.hex()} {found.registration_id.hex()}"


def read(kafka: KafkaSettings, partner: str) -> list[Message]:
    with TopicReader(kafka, [ALERTS.of(partner)], client_id="judge") as reader:
        return [message for messages in reader.read_to_end() for message in messages]


@contextmanager
def exchange(folder: Path, kafka: KafkaSettings, seed: int) -> Iterator[KafkaHistories]:
    """Set up an exchange with one agency and the partners, and two workers."""
    redis = ForgetfulRedis(folder / "redis")
    town = Town(folder / "town", kafka, redis.url)
    try:
        town.found()
        watch_key = town.folder / "exchange" / "keys" / "watches" / "0002.key"
        watch_key.write_text(WATCH_KEY.private_bytes_raw().hex(), encoding="ascii")
        handed = folder / "sender.json"
        handed.write_text(
            json.dumps({"key_id": HARBOR.key_id, "secret": HARBOR.secret.hex(), "name": "Harbor"})
        )
        town.run("exchange", "enrol", "agency", handed, *town.exchange)
        for partner in PARTNERS:
            town.run("exchange", "enrol", "partner", partner, *town.exchange)
        partitions = len(end_offsets(kafka, TOUCHES.name))
        with Publisher(kafka, client_id="outside") as publisher:
            made = KafkaHistories(town, redis, Random(seed), KafkaLog(publisher), partitions)
            made.light_beacons()
            made.settle(f"start-{seed}")
            yield made
    finally:
        for worker in town.workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
        redis.stop()


def run(folder: Path, kafka: KafkaSettings, count: int, seed: int) -> tuple[Verdict, Counter[str]]:
    """Run this many histories on one exchange; return what the judge says of all."""
    with exchange(folder, kafka, seed) as made:
        for start in range(0, count, TOGETHER):
            some = range(start, min(start + TOGETHER, count))
            made.run([f"{seed}-{number}-" for number in some])
        verdict = made.verdict()
        print(*made.told_of(verdict.faults[:5]), sep="\n", end="")  # noqa: T201 what a fault is of
        return verdict, made.counts


def main() -> int:
    """Start Kafka, run the histories, print what came of them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--histories", type=int, default=300)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="histories-"))
    addresses = start_kafka(folder / "kafka")
    kafka = KafkaSettings(bootstrap_servers=addresses["CLIENT"])
    try:
        verdict, counts = run(folder, kafka, given.histories, given.seed)
    finally:
        stop_kafka(folder / "kafka")
    if not verdict.faults:
        shutil.rmtree(folder, ignore_errors=True)
    print(summary(given.seed, verdict, counts))  # noqa: T201 a command of its own
    print(*verdict.faults[:20], sep="\n")  # noqa: T201
    return bool(verdict.faults)


def summary(seed: int, verdict: Verdict, counts: Counter[str]) -> str:
    said = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return (
        f"seed {seed}: {said}; required {verdict.required:,}, optional {len(verdict.optional):,}; "
        f"required missing {len(verdict.missing)}, forbidden present {len(verdict.forbidden)}, "
        f"doubled {len(verdict.doubled)}"
    )


if __name__ == "__main__":
    sys.exit(main())
