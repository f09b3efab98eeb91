"""A town for acceptance tests: every party a folder, every step a `silenthit` command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.topics import TOUCHES
from silenthit.bus.admin import committed_offsets, end_offsets
from silenthit.bus.clients import KafkaSettings

WAIT_S = 60.0


def wait_until(true: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
    """Poll a condition of another process until it holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"expected {what} within {seconds:g} s")


@dataclass
class Town:
    """One exchange on a bus, with its agencies and partners."""

    folder: Path
    kafka: KafkaSettings
    redis: str
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    worker_access: list[str] = field(default_factory=list)

    def run(self, *words: str | Path, code: int = 0) -> str:
        """Run a command to its end; return what it printed."""
        command = [sys.executable, "-m", "silenthit", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    def found(self) -> None:
        """Set up the key, the exchange and its topics."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run("keyholder", "generate", self.key, "--epoch", "1")
        at = ["--bootstrap", self.kafka.bootstrap_servers]
        self.run("exchange", "init", self.folder / "exchange", *at, "--redis", self.redis)
        self.run("exchange", "topics", *self.exchange)
        self.exchange_key()

    @property
    def key(self) -> Path:
        return self.folder / "epoch-1.json"

    @property
    def exchange(self) -> list[str]:
        return ["--config", str(self.folder / "exchange" / "exchange.toml")]

    def of(self, name: str, kind: str) -> list[str]:
        return ["--config", str(self.folder / name / f"{kind}.toml")]

    def add_agency(self, name: str, ori: str) -> None:
        at = ["--bootstrap", self.kafka.bootstrap_servers, "--local-key", str(self.key)]
        self.run("agency", "init", self.folder / name, "--ori", ori, "--name", name.title(), *at)
        self.run("exchange", "enrol", "agency", self.folder / name / "sender.json", *self.exchange)

    def add_partner(self, name: str, *agencies: str, options: tuple[str, ...] = ()) -> None:
        at = ["--bootstrap", self.kafka.bootstrap_servers, "--local-key", str(self.key)]
        at += ["--exchange-key", str(self.folder / "exchange-key.json"), *options]
        self.run("exchange", "enrol", "partner", name, *self.exchange)
        self.run("partner", "init", self.folder / name, "--name", name, *at)
        signers = [self.folder / agency / "signer.json" for agency in agencies]
        self.run("partner", "trust", *signers, *self.of(name, "partner"))

    def publish(self, agency: str, *files: Path, mapping: Path | None = None) -> None:
        more = ["--mapping", str(mapping)] if mapping else []
        self.run("agency", "publish", *files, *more, *self.of(agency, "agency"))

    def watch(self, partner: str, watches: str) -> None:
        """Register watches written in TOML."""
        path = self.folder / f"{partner}-{time.monotonic_ns()}.toml"
        path.write_text(watches, encoding="utf-8")
        self.run("watch", "import", path, *self.of(partner, "partner"))

    def start_worker(self, name: str = "worker") -> subprocess.Popen[bytes]:
        """Start a matching worker; return once it owns its partitions."""
        ready = self.folder / f"{name}-{len(self.workers)}.ready"
        words = ["exchange", "work", "--name", name, "--ready-file", str(ready), *self.exchange]
        words += self.worker_access
        with (self.folder / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "silenthit", *words], stdout=log, stderr=log
            )
        self.workers.append(worker)
        wait_until(ready.exists, "the worker to be ready")
        return worker

    def start_answering(self, name: str = "answer") -> subprocess.Popen[bytes]:
        """Start the process that answers look-ups; return once it reads inquiries."""
        ready = self.folder / f"{name}-{len(self.workers)}.ready"
        words = ["exchange", "answer", "--name", name, "--ready-file", str(ready), *self.exchange]
        with (self.folder / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "silenthit", *words], stdout=log, stderr=log
            )
        self.workers.append(worker)
        wait_until(ready.exists, "look-ups to be answered")
        return worker

    def start_deconflicting(self, name: str = "deconflict") -> subprocess.Popen[bytes]:
        """Start the process that tells partners of each other; return once it knows the watches."""
        ready = self.folder / f"{name}-{len(self.workers)}.ready"
        words = ["exchange", "deconflict", "--name", name, "--ready-file", str(ready)]
        words += self.worker_access
        with (self.folder / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "silenthit", *words, *self.exchange], stdout=log, stderr=log
            )
        self.workers.append(worker)
        wait_until(ready.exists, "watches to be known")
        return worker

    def start_conflicts(self, name: str = "conflicts") -> subprocess.Popen[bytes]:
        """Start the process that tells agencies of conflicts; return once it knows operations."""
        ready = self.folder / f"{name}-{len(self.workers)}.ready"
        words = ["exchange", "conflicts", "--name", name, "--ready-file", str(ready)]
        with (self.folder / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "silenthit", *words, *self.exchange], stdout=log, stderr=log
            )
        self.workers.append(worker)
        wait_until(ready.exists, "operations to be known")
        return worker

    def deconfliction_key(self, settles_s: int) -> Path:
        """Say how long a watch has to be known, and write the keys that partners are handed."""
        with (self.folder / "exchange" / "exchange.toml").open("a", encoding="utf-8") as config:
            config.write(f"\n[deconfliction]\nsettles_s = {settles_s}\n")
        return self.exchange_key()

    def exchange_key(self) -> Path:
        """Write the file of public keys that the exchange hands to its partners now."""
        path = self.folder / "exchange-key.json"
        path.write_text(self.run("exchange", "deconflict-key", *self.exchange), encoding="utf-8")
        return path

    def look_up(self, agency: str, *words: str, code: int = 0) -> dict[str, Any]:
        """Look a subject up as an officer of an agency; return what was found."""
        fixed = ["--purpose", "investigation", "--case-number", f"{agency}-26-7"]
        fixed += ["--officer", "Det. Lee", "--officer-phone", "802-555-0199", "--json"]
        printed = self.run(
            "agency", "lookup", *words, *fixed, *self.of(agency, "agency"), code=code
        )
        return json.loads(printed) if code == 0 else {}

    def worker_log(self, name: str = "worker") -> str:
        return (self.folder / f"{name}.log").read_text("utf-8")

    def stop_workers(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.wait(30)

    def wait_until_matched(self) -> None:
        """Wait until the workers have committed every touch there is."""

        def caught_up() -> bool:
            done = committed_offsets(self.kafka, "exchange", TOUCHES.name)
            ends = end_offsets(self.kafka, TOUCHES.name)
            return all(done[number] >= end for number, end in ends.items() if end)

        wait_until(caught_up, "every touch to be matched")

    def alerts(self, partner: str) -> list[dict[str, Any]]:
        """Receive what there is; return every alert that the partner holds."""
        self.run("alerts", "receive", "--once", *self.of(partner, "partner"))
        listed = self.run("alerts", "list", "--json", *self.of(partner, "partner"))
        found = json.loads(listed)
        return found["alerts"] if isinstance(found, dict) else found

    def quarantined(self) -> list[dict[str, Any]]:
        lines = self.run("exchange", "quarantine", "--json", *self.exchange).splitlines()
        return [json.loads(line) for line in lines]


@contextmanager
def town(folder: Path, kafka: KafkaSettings, redis: str) -> Iterator[Town]:
    """Set up a town and stop its workers at the end."""
    made = Town(folder, kafka, redis)
    made.found()
    try:
        yield made
    finally:
        made.stop_workers()
