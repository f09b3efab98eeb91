"""The exchange under faults: three brokers, two workers, Redis; agencies and partners around it."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from confluent_kafka import KafkaException

from schemas import codec
from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN, pack
from schemas.topics import TOUCHES, WATCHES
from schemas.vocabulary import CoarseKind
from silenthit.bus.admin import committed_offsets, end_offsets
from silenthit.bus.clients import KafkaSettings, Publisher
from silenthit.errors import RetryError, SettingsError
from tests.exchange_room import FAR, HARBOR, MILLBROOK, identified, ssn
from tests.faults.boxes import Boxes
from tests.faults.nodes import Broker, Node, RedisNode, Worker, wait_for_end
from tests.faults.schedule import BROKERS, STORM_S, WORKERS, Fault, Schedule
from tests.faults.traffic import FaultyLog, Findings, Span, Stored, judged
from tests.histories.outside import Outside, sealed
from tests.histories.workers import PARTNERS
from tests.town import Town, wait_until

START_S, SETTLE_S = 90.0, 150.0
CALM_S = 1.5
QUIET_S = 2.5  # longer than a worker takes to set right what another told too late
TICK_S = 0.02
EVENTS_PER_S = 60
PEOPLE, RECORDS, REGISTRATIONS = 6, 40, 10
REVIVE_S = 1.0  # as a supervisor does with what ends by itself
SKEWS_S = (-7_200, -90, 90, 7_200)
# Nothing of it is said again, unless a worker does it again.
ONCE, MANY = (40, 0, 2, 0, 0, 0, 0), 400
WEIGHTS = (40, 14, 5, 4, 4, 5, 1)  # revise, watch, retract, unwatch, repeat, release, watch again


Acts = tuple[Callable[[], None], Callable[[], None]]  # what begins a fault, and what ends it
Disturb = Callable[[Callable[[float], None]], None]  # is given what lets traffic pass


@dataclass
class Exchange:
    """The nodes, and what is known of all that was ever sent."""

    boxes: Boxes
    brokers: list[Broker]
    workers: list[Worker]
    redis: RedisNode
    kafka: KafkaSettings
    publisher: Publisher
    stored: Stored
    partitions: int
    beacons: set[bytes] = field(default_factory=set)
    ended: Counter[str] = field(default_factory=Counter)
    plant: str = "none"  # the bug that the workers have now
    _died: dict[str, float] = field(default_factory=dict)

    @property
    def nodes(self) -> dict[str, Node]:
        return {node.name: node for node in (*self.brokers, *self.workers, self.redis)}

    def state(self) -> str:
        """Say who runs, and what each said last."""
        lines = []
        for name, node in self.nodes.items():
            lines.append(f"{name}: {'running' if node.running else 'down'}")
            lines += node.log.read_text("utf-8", "replace").splitlines()[-8:]
        return "\n".join(line[:300] for line in lines)

    def revive(self) -> None:
        """Start again what ended by itself, a little later, as a supervisor does."""
        for name, node in self.nodes.items():
            if node.wanted and not node.running:
                since = self._died.setdefault(name, time.monotonic())
                if time.monotonic() - since > REVIVE_S:
                    self.ended[name] += 1
                    self._died.pop(name)
                    node.start()

    def mend(self) -> None:
        """Undo every fault that is left."""
        self.boxes.heal()
        self.boxes.clear()
        for node in self.nodes.values():
            node.signal(signal.SIGCONT)
            if not node.wanted:
                wait_for_end(node)
                node.start()

    def restart_workers(self, plant: str = "none") -> None:
        """Stop and start them in order, with the right time, and with a bug if one is named."""
        for worker in self.workers:
            worker.stop()
        for worker in self.workers:
            wait_for_end(worker)
            worker.skew_s, worker.plant = 0, plant
            worker.start()
        self.plant = plant

    def settle(self, log: FaultyLog, name: str, quiet_s: float = QUIET_S) -> None:
        """Wait until everything sent is confirmed, met and told, and nothing more comes."""
        wait_until(self._revived(log.insist), "every message confirmed", SETTLE_S)
        beacon, before = identified(f"beacon-{name}"), len(self.stored.messages)
        self.beacons.add(beacon)
        for partner in PARTNERS:
            self._light(log, beacon, partner)
        wait_until(self._revived(log.insist), "the beacon confirmed", SETTLE_S)
        wait_until(self._revived(lambda: self._caught_up(beacon, before)), "no lag", SETTLE_S)
        since = time.monotonic()
        until = since + SETTLE_S
        while time.monotonic() - since < quiet_s:
            assert time.monotonic() < until, "expected quiet, got ever more messages"
            self.revive()
            if not self.stored.look():
                since = time.monotonic()

    def _revived(self, true: Callable[[], bool]) -> Callable[[], bool]:
        def look() -> bool:
            self.revive()
            return true()

        return look

    @staticmethod
    def _light(log: FaultyLog, beacon: bytes, partner: str) -> None:
        """Register a watch that meets one touch of each partition."""
        watch = WatchRegistration(
            registration_id=beacon,
            partner=partner,
            epoch=1,
            tokens=pack([(0, ssn("beacon").kind, ssn("beacon").value)], TOKEN),
            kinds=(),
            expires_at=FAR,
        )
        log.append(WATCHES.of(partner), 0, registration_key(beacon, 1), codec.encode(watch))

    def place_beacon_touches(self, log: FaultyLog) -> None:
        """Append the touches that beacons meet, one a partition."""
        lit: set[int] = set()
        for number in range(1_000):
            record = ((ssn("beacon"),),)
            made = sealed(f"lit{number}", 1, record, CoarseKind.CONTACT, "2031-01")
            partition = made[0][0] % self.partitions
            if partition not in lit:
                lit.add(partition)
                log.append(TOUCHES.name, partition, *made)
        assert len(lit) == self.partitions

    def _caught_up(self, beacon: bytes, since: int) -> bool:
        try:
            done = committed_offsets(self.kafka, "exchange", TOUCHES.name)
            ends = end_offsets(self.kafka, TOUCHES.name)
        except (RetryError, SettingsError, KafkaException, KeyError):  # a broker is coming back
            return False
        self.stored.look()
        if any(done[each] < end for each, end in ends.items()):
            return False
        for partner in PARTNERS:
            if len(self.stored.met(beacon, partner, since)) < self.partitions:
                return False
        return True


class Run:
    """One schedule on the exchange."""

    def __init__(self, exchange: Exchange, schedule: Schedule) -> None:
        self._exchange, self._schedule = exchange, schedule
        self._random = Random(schedule.seed)
        self._name = f"{schedule.seed}-{time.monotonic_ns()}"
        self._log = FaultyLog(exchange.publisher)
        self._people = [
            Outside(
                self._random,
                self._log,
                exchange.partitions,
                records=RECORDS,
                watches=REGISTRATIONS,
                weights=WEIGHTS,
                name=f"{self._name}-{number}-",
                sender=(HARBOR, MILLBROOK)[number % 2],
            )
            for number in range(PEOPLE)
        ]
        self.counts: Counter[str] = Counter()
        self._skewed = False

    def run(self, disturb: Disturb | None = None, *, once: bool = False) -> Findings:
        """Let calm traffic pass, then the storm, and ask the judge once all is quiet.

        With `once`, hardly any record comes again in the storm: nothing makes up for what is lost.
        """
        exchange = self._exchange
        since, moments = len(exchange.stored.messages), [self._log.clock.ms]
        self._written = exchange.redis.written()
        self._let_pass(CALM_S)
        exchange.settle(self._log, f"{self._name}-calm", CALM_S)
        moments.append(self._log.clock.ms)
        time.sleep(0.1)
        moments.append(self._log.clock.ms)
        storm = len(exchange.stored.messages)
        for person in self._people if once else ():
            person.weights, person.records = ONCE, MANY
        if disturb:
            disturb(self._let_pass)
        else:
            self._storm()
        for person in self._people:
            person.release_all()
        over = time.monotonic()
        exchange.mend()
        exchange.settle(self._log, f"{self._name}-storm")
        self.counts["quiet after s"] = round(time.monotonic() - over)
        moments.append(self._log.clock.ms)
        if self._skewed:
            exchange.restart_workers()
        found = judged(self._log, exchange.stored, Span(since, storm, moments), exchange.beacons)
        found.counts += self.counts
        return found

    def _let_pass(self, seconds: float) -> None:
        """Send at an even pace."""
        begun, sent = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < seconds:
            while sent < passed * EVENTS_PER_S:
                self._random.choice(self._people).act()
                sent += 1
            self._exchange.revive()
            time.sleep(TICK_S)

    def _storm(self) -> None:
        """Let each fault begin and end in its time, while traffic flows."""
        due: list[tuple[float, Callable[[], None]]] = []
        for fault in self._schedule.faults:
            if fault.alone and not self._exchange.boxes.alone:
                self.counts[f"not run: {fault.what}"] += 1
            else:
                due += self._begin_and_end(fault)
        passed = 0.0
        for at, act in sorted(due, key=lambda each: each[0]):
            self._let_pass(at - passed)
            passed = max(passed, at)
            act()
        self._let_pass(max(0.5, STORM_S - passed))

    def _begin_and_end(self, fault: Fault) -> list[tuple[float, Callable[[], None]]]:
        over = fault.at + fault.seconds
        begin, end = getattr(self, "_" + fault.what.replace(" ", "_"))(fault)
        self.counts[f"{fault.what} {fault.nodes[0].partition('-')[0]}"] += 1
        return [(fault.at, begin), (over, end)]

    def _nodes(self, fault: Fault) -> list[Node]:
        return [self._exchange.nodes[name] for name in fault.nodes]

    def _kill(self, fault: Fault) -> Acts:
        return _each(self._nodes(fault), Node.kill), _each(self._nodes(fault), Node.start)

    def _pause(self, fault: Fault) -> Acts:
        return (
            _each(self._nodes(fault), lambda node: node.signal(signal.SIGSTOP)),
            _each(self._nodes(fault), lambda node: node.signal(signal.SIGCONT)),
        )

    def _stop(self, fault: Fault) -> Acts:
        def start(node: Node) -> None:
            node.signal(signal.SIGCONT)  # it may have been paused meanwhile
            wait_for_end(node)
            node.start()

        return _each(self._nodes(fault), Node.stop), _each(self._nodes(fault), start)

    def _cut(self, fault: Fault) -> Acts:
        boxes = self._exchange.boxes
        return lambda: boxes.cut(fault.nodes[0]), boxes.heal

    def _lose_power(self, fault: Fault) -> Acts:
        """Be gone without a word: the others' connections stay open, and nobody answers."""
        boxes, nodes = self._exchange.boxes, self._nodes(fault)

        def go() -> None:
            for node in nodes:
                node.signal(signal.SIGSTOP)
            boxes.cut(fault.nodes[0])
            for node in nodes:
                node.kill()

        def come_back() -> None:
            boxes.heal()
            for node in nodes:
                node.start()

        return go, come_back

    def _split(self, fault: Fault) -> Acts:
        boxes = self._exchange.boxes
        return lambda: boxes.split(*fault.nodes), boxes.heal

    def _fill(self, fault: Fault) -> Acts:
        """A worker writes only when it starts, so it starts anew on the full disk."""
        boxes, nodes = self._exchange.boxes, self._nodes(fault)

        def fill() -> None:
            boxes.fill(fault.nodes[0])
            for node in nodes:
                if isinstance(node, Worker):
                    node.kill()
                    node.start()

        return fill, boxes.clear

    def _flush(self, fault: Fault) -> Acts:
        return self._exchange.redis.flush, lambda: None

    def _lose_the_tail(self, fault: Fault) -> Acts:
        redis = self._exchange.redis

        def lose() -> None:
            redis.kill()
            redis.forget(self._written, fault.amount)

        return lose, redis.start

    def _skew(self, fault: Fault) -> Acts:
        """Start a worker with another clock; until the schedule is over."""

        def skew() -> None:
            self._skewed = True
            for node in self._nodes(fault):
                assert isinstance(node, Worker)
                node.skew_s = SKEWS_S[int(fault.amount * 3.99)]
                node.kill()
                node.start()

        return skew, lambda: None

    def _replay(self, fault: Fault) -> Acts:
        topics = {"agencies": [TOUCHES.name], "partners": [WATCHES.of(each) for each in PARTNERS]}

        def replay() -> None:
            self.counts["replayed"] += self._log.replay(topics[fault.nodes[0]])

        return replay, lambda: None


def _each(nodes: list[Node], act: Callable[[Node], None]) -> Callable[[], None]:
    def acting() -> None:
        for node in nodes:
            act(node)

    return acting


def roll(exchange: Exchange, rounds: int) -> Disturb:
    """Return a storm in which the workers are restarted in order, one after the other."""

    def rolling(let_pass: Callable[[float], None]) -> None:
        for worker in exchange.workers * rounds:
            _restart(worker, let_pass)

    return rolling


def _restart(worker: Worker, let_pass: Callable[[float], None]) -> None:
    worker.stop()
    _while(lambda: worker.running, let_pass, "the worker to end")
    worker.start()
    _while(lambda: not worker.ready, let_pass, "the worker to be ready")
    let_pass(1.0)


def _while(true: Callable[[], bool], let_pass: Callable[[float], None], what: str) -> None:
    until = time.monotonic() + START_S
    while true():
        assert time.monotonic() < until, f"expected {what}"
        let_pass(0.1)


@contextmanager
def exchange(folder: Path) -> Iterator[Exchange]:
    """Start everything; end it, whatever happened."""
    boxes = Boxes(folder)
    brokers = [Broker(name, boxes) for name in BROKERS]
    redis = RedisNode(boxes)
    nodes: list[Node] = [*brokers, redis]
    for broker in brokers:
        broker.configure(brokers)
    try:
        for node in nodes:
            node.start()
        wait_until(lambda: all(each.ready(len(BROKERS)) for each in brokers), "brokers", START_S)
        wait_until(redis.answers, "Redis", START_S)
        kafka = KafkaSettings(bootstrap_servers=",".join(each.client for each in brokers))
        town = _town(folder, kafka, redis.url)
        workers = [Worker(name, boxes, town.folder / "exchange") for name in WORKERS]
        nodes += workers
        with Publisher(kafka, client_id="outside") as publisher:
            partitions = len(end_offsets(kafka, TOUCHES.name))
            made = Exchange(
                boxes, brokers, workers, redis, kafka, publisher, Stored(kafka), partitions
            )
            for worker in workers:
                worker.start()
            log = FaultyLog(publisher)
            made.place_beacon_touches(log)
            made.settle(log, "start")
            yield made
            made.stored.close()
    finally:
        for node in reversed(nodes):
            node.kill()


def _town(folder: Path, kafka: KafkaSettings, redis: str) -> Town:
    """Enrol both agencies and both partners."""
    town = Town(folder / "town", kafka, redis)
    town.found()
    for number, key in enumerate((HARBOR, MILLBROOK)):
        handed = folder / f"sender-{number}.json"
        told = {"key_id": key.key_id, "secret": key.secret.hex(), "name": f"Agency {number}"}
        handed.write_text(json.dumps(told))
        town.run("exchange", "enrol", "agency", handed, *town.exchange)
    for partner in PARTNERS:
        town.run("exchange", "enrol", "partner", partner, *town.exchange)
    return town
