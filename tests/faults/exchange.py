"""The exchange under faults: three brokers, two workers, Redis; agencies and partners around it."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from schemas import codec
from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN, pack
from schemas.topics import TOUCHES, WATCHES
from schemas.vocabulary import CoarseKind
from silenthit.bus.admin import end_offsets
from silenthit.bus.clients import KafkaSettings, Publisher
from tests.exchange_room import FAR, HARBOR, MILLBROOK, identified, ssn
from tests.faults.boxes import Boxes
from tests.faults.nodes import Broker, Node, RedisNode, Worker, wait_for_end
from tests.faults.progress import Progress
from tests.faults.schedule import BROKERS, STORM_S, WORKERS, Fault, Schedule
from tests.faults.traffic import FaultyLog, Findings, Inbox, Span, Stored, judged
from tests.histories.outside import Outside, sealed
from tests.histories.workers import PARTNERS
from tests.town import Town, wait_until

START_S, SETTLE_S = 90.0, 150.0
CALM_S = 0.8
QUIET_S, CALM_QUIET_S = 1.4, 0.3  # after a storm: a worker sets right what another told too late
TICKS_S = (0.01, 0.09)  # a fault comes at any time after what was sent last
EVENTS_PER_S = 100
# Of agencies and partners: not to wait a minute for a broker that has vanished.
PATIENCE = {"socket.timeout.ms": "3000", "socket.connection.setup.timeout.ms": "2000"}
PEOPLE, RECORDS, REGISTRATIONS = 6, 40, 10
KEPT = 3  # schedules whose watches stay
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
    progress: Progress
    partitions: int
    inboxes: Sequence[Inbox] = field(default_factory=lambda: [Inbox(each) for each in PARTNERS])
    beacons: set[bytes] = field(default_factory=set)
    ended: Counter[str] = field(default_factory=Counter)
    plant: str = "none"  # the bug that the workers have now
    _died: dict[str, float] = field(default_factory=dict)
    _past: deque[set[tuple[str, bytes]]] = field(default_factory=deque)

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

    def set_clocks_right(self) -> None:
        """Stop in order what has another clock, and start it."""
        skewed = [worker for worker in self.workers if worker.skew_s]
        self._restart(skewed, self.plant)

    def take_back(self, watches: set[tuple[str, bytes]]) -> None:
        """Let partners take back what they watched some schedules ago; the last ones stay.

        A worker whose Redis lost everything looks back for every watch that there is.
        """
        self._past.append(watches)
        for topic, key in self._past.popleft() if len(self._past) > KEPT else ():
            self.publisher.send(topic, key, None, partition=0)

    def restart_workers(self, plant: str) -> None:
        """Stop them in order and start them with a bug, or none."""
        self._restart(self.workers, plant)
        self.plant = plant

    @staticmethod
    def _restart(workers: Sequence[Worker], plant: str) -> None:
        for worker in workers:
            worker.stop()
        for worker in workers:
            wait_for_end(worker)
            worker.skew_s, worker.plant = 0, plant
            worker.start()

    def settle(self, log: FaultyLog, name: str, quiet_s: float = QUIET_S) -> None:
        """Wait until everything sent is confirmed, met and told, and nothing more comes."""
        wait_until(self._revived(log.insist), "every message confirmed", SETTLE_S)
        beacon, before = identified(f"beacon-{name}"), len(self.stored.messages)
        self.beacons.add(beacon)
        for partner in PARTNERS:
            self._light(log, beacon, partner)
        wait_until(self._revived(log.insist), "the beacon confirmed", SETTLE_S)
        wait_until(self._revived(lambda: self._met(beacon, before)), "the beacon met", SETTLE_S)
        done = self._revived(lambda: self._acknowledged(log))
        wait_until(done, "every touch acknowledged", SETTLE_S)
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

    def _met(self, beacon: bytes, since: int) -> bool:
        """Whether a watch has looked back over every partition."""
        self.stored.look()
        found = [self.stored.met(beacon, partner, since) for partner in PARTNERS]
        return all(len(each) == self.partitions for each in found)

    def _acknowledged(self, log: FaultyLog) -> bool:
        self.stored.look()
        ends = self.stored.ends(TOUCHES.name)
        return self.stored.read(log.letters) and self.progress.acknowledged(ends)


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

    def run(self, disturb: Disturb | None = None, *, once: bool = False) -> Findings:
        """Let calm traffic pass, then the storm, and ask the judge once all is quiet.

        With `once`, hardly any record comes again in the storm: nothing makes up for what is lost.
        """
        exchange = self._exchange
        moments = [self._log.clock.ms]
        self._written = exchange.redis.written()
        self._let_pass(CALM_S)
        exchange.settle(self._log, f"{self._name}-calm", CALM_QUIET_S)
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
        exchange.set_clocks_right()
        span = Span(storm, moments)
        found = judged(self._log, exchange.stored, span, exchange.inboxes, exchange.beacons)
        exchange.take_back(self._log.watches())
        found.counts += self.counts
        return found

    def _let_pass(self, seconds: float) -> None:
        """Send at an even pace, some at a time."""
        begun, sent = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < seconds:
            while sent < passed * EVENTS_PER_S:
                self._random.choice(self._people).act()
                sent += 1
            self._exchange.revive()
            time.sleep(min(self._random.uniform(*TICKS_S), seconds - passed))

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
        brokers[0].archiving = True
        for node in nodes:
            node.start()
        wait_until(lambda: all(each.ready(len(BROKERS)) for each in brokers), "brokers", START_S)
        wait_until(redis.answers, "Redis", START_S)
        servers = ",".join(each.client for each in brokers)
        kafka = KafkaSettings(bootstrap_servers=servers, security=PATIENCE)
        town = _town(folder, kafka, redis.url)
        workers = [Worker(name, boxes, town.folder / "exchange") for name in WORKERS]
        nodes += workers
        with Publisher(kafka, client_id="outside") as publisher:
            partitions = len(end_offsets(kafka, TOUCHES.name))
            stored, progress = Stored(kafka), Progress(kafka, "exchange")
            made = Exchange(
                boxes, brokers, workers, redis, kafka, publisher, stored, progress, partitions
            )
            for worker in workers:
                worker.start()
            log = FaultyLog(publisher)
            made.place_beacon_touches(log)
            made.settle(log, "start", CALM_QUIET_S)
            _archive_classes(brokers[0])
            yield made
            stored.close()
            progress.close()
    finally:
        for node in reversed(nodes):
            node.kill()


def _archive_classes(broker: Broker) -> None:
    """Let a broker end in order, as which it writes the archive, and start it from that."""
    broker.stop()
    wait_for_end(broker)
    broker.start()


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
