"""The nodes as processes: brokers, workers and Redis, each of which can be killed at any time."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from redis import Redis
from redis.exceptions import RedisError

from tests.faults.boxes import Boxes
from tests.faults.schedule import BROKERS
from tests.services import ROOT

GRACE_S = 6.0  # as an impatient supervisor: who is cut off while it stops does not get to its end
# Shorter than in production, where they are seconds more, so that each schedule is.
QUICK = {
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
    "replica.lag.time.max.ms": "2000",
    "group.min.session.timeout.ms": "1000",
    # Who vanished keeps its requests to itself; the others shall ask somebody else soon.
    "controller.quorum.request.timeout.ms": "1000",
    "replica.socket.timeout.ms": "2000",
    "replica.fetch.backoff.ms": "200",
    "log.segment.bytes": str(64 * 2**20),
    # Brokers that do less while nothing happens leave more to what does.
    "metric.reporters": "",
    "metadata.max.idle.interval.ms": "0",
    "num.network.threads": "1",
    "num.io.threads": "3",
    "background.threads": "2",
}


class Node:
    """One process that should run, until somebody says that it shouldn't."""

    def __init__(self, name: str, boxes: Boxes, megabytes: int) -> None:
        self.name, self._boxes = name, boxes
        self.disk = boxes.add(name, megabytes)
        self.address = boxes.address(name)
        self.process: subprocess.Popen[bytes] | None = None
        self.wanted = False
        self.log = self.disk.parent / f"{name}.log"

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it if it is down; it may take a while to be ready."""
        self.wanted = True
        if not self.running:
            command = [*self._boxes.inside(self.name), *self.command()]
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL; gone on return."""
        self.wanted = False
        if self.process:
            self.process.kill()
            self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        if self.process and self.running:
            self.process.send_signal(number)

    def stop(self) -> None:
        """SIGTERM; it ends when it has put everything in order."""
        self.wanted = False
        self.signal(signal.SIGTERM)


def launcher() -> ModuleType:
    """Return deploy/kafka/kafka.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("kafka", ROOT / "deploy" / "kafka" / "kafka.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LAUNCHER = launcher()
LISTENERS = {"CONTROLLER": 9093, "INTERNAL": 9094, "CLIENT": 9092}


class Broker(Node):
    """One Apache Kafka node of three, broker and controller.

    It starts from an archive of the classes that are loaded by then, in half the time, once one
    broker was started with `archiving` and has ended in order.
    """

    def __init__(self, name: str, boxes: Boxes) -> None:
        super().__init__(name, boxes, 400)
        self.archiving = False
        self._archive = self.disk.parent / "classes.jsa"
        self.ports = {each: boxes.port(usual) for each, usual in LISTENERS.items()}
        self.number = BROKERS.index(name) + 1
        self._configuration = self.log.with_suffix(".properties")

    @property
    def client(self) -> str:
        return f"{self.address}:{self.ports['CLIENT']}"

    def configure(self, brokers: Sequence[Broker]) -> None:
        """Write the configuration, and format the disk."""
        voters = ",".join(f"{b.number}@{b.address}:{b.ports['CONTROLLER']}" for b in brokers)
        listeners = ",".join(f"{n}://{self.address}:{p}" for n, p in self.ports.items())
        text = LAUNCHER.properties(
            self.number,
            [broker.ports for broker in brokers],
            dict.fromkeys(self.ports, "PLAINTEXT"),
            self.disk / "log",
            {"controller.quorum.voters": voters, "listeners": listeners, **QUICK},
        )
        self._configuration.write_text(text)
        cluster = "--cluster-id=c2lsZW50aGl0LWZhdWx0cw"
        words = ("kafka.tools.StorageTool", "format", cluster, "-c", str(self._configuration))
        subprocess.run(LAUNCHER.java(*words), check=True, capture_output=True)

    def command(self) -> Sequence[str]:
        program, *words = LAUNCHER.java("kafka.Kafka", str(self._configuration))
        if self._archive.exists():
            return [program, f"-XX:SharedArchiveFile={self._archive}", *words]
        if self.archiving:
            return [program, f"-XX:ArchiveClassesAtExit={self._archive}", *words]
        return [program, *words]

    def ready(self, brokers: int) -> bool:
        LAUNCHER.HOST = self.address
        return bool(LAUNCHER.brokers_known(self.ports["INTERNAL"]) >= brokers)


class Worker(Node):
    """One matching worker, with a host of its own; it may start with a bug or another clock."""

    def __init__(self, name: str, boxes: Boxes, exchange: Path) -> None:
        super().__init__(name, boxes, 16)
        self.plant, self.skew_s = "none", 0
        self._ready = self.log.with_suffix(".ready")
        self._configuration = self.log.with_suffix(".toml")
        text = (exchange / "exchange.toml").read_text()
        organisations = json.dumps(str(exchange / "organisations.json"))
        text = text.replace('"organisations.json"', organisations)
        self._configuration.write_text(text.replace('"data"', json.dumps(str(self.disk))))

    def command(self) -> Sequence[str]:
        self._ready.unlink(missing_ok=True)
        begin = ["-m", "tests.faults.odd_worker", str(self.skew_s), self.plant]
        words = ["exchange", "work", "--name", self.name, "--config", str(self._configuration)]
        return [sys.executable, *begin, *words, "--ready-file", str(self._ready)]

    @property
    def ready(self) -> bool:
        return self.running and self._ready.exists()


class RedisNode(Node):
    """Redis as docs/operations.md says: append-only file, no eviction."""

    def __init__(self, boxes: Boxes) -> None:
        super().__init__("redis", boxes, 64)
        self.port = boxes.port(6379)

    @property
    def url(self) -> str:
        return f"redis://{self.address}:{self.port}/0"

    def command(self) -> Sequence[str]:
        options = ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", ""]
        place = ["--port", str(self.port), "--bind", self.address, "--dir", str(self.disk)]
        return ["redis-server", *place, "--protected-mode", "no", *options]

    def answers(self) -> bool:
        try:
            with Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except RedisError:
            return False

    def flush(self) -> None:
        """Forget everything, if it can be told to."""
        try:
            with Redis.from_url(self.url, socket_timeout=1) as client:
                client.flushall()
        except RedisError:
            pass

    def written(self) -> int:
        """Return how long the append-only file is."""
        tail = self._tail()
        return tail.stat().st_size if tail else 0

    def forget(self, since: int, amount: float) -> None:
        """Cut off a share of what the file has grown by since it had this length."""
        tail = self._tail()
        if tail:
            size = tail.stat().st_size
            os.truncate(tail, size - int(max(0, size - since) * amount))

    def _tail(self) -> Path | None:
        found = sorted(self.disk.glob("appendonlydir/*.incr.aof"), key=lambda p: p.stat().st_mtime)
        return found[-1] if found else None


def wait_for_end(node: Node) -> None:
    """Wait until a node that was told to stop has ended; kill it if it takes too long."""
    until = time.monotonic() + GRACE_S
    while node.running and time.monotonic() < until:
        time.sleep(0.05)
    if node.running:
        node.kill()
