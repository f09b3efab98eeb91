"""Apache Kafka as in production: mutual TLS, every right refused unless granted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from silenthit.bus.clients import KafkaSettings
from silenthit.bus.handover import HandOver
from tests.services import free_port, start_kafka, stop_kafka
from tests.town import Town


@dataclass(frozen=True)
class SecuredExchange:
    """A broker that enforces rights, and an exchange whose operator set it up by command."""

    folder: Path
    bootstrap: str

    @property
    def config(self) -> list[str]:
        return ["--config", str(self.folder / "exchange" / "exchange.toml")]

    def run(self, *words: str | Path, code: int = 0) -> str:
        command = [sys.executable, "-m", "silenthit", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    def exchange(self, *words: str | Path, code: int = 0) -> str:
        return self.run("exchange", *words, *self.config, code=code)

    def onboard(self, organisation: str, role: str, *more: str) -> HandOver:
        out = self.folder / f"{role}-{organisation.lower()}.toml"
        out.unlink(missing_ok=True)
        self.exchange("onboard", organisation, "--role", role, "--out", out, *more)
        return HandOver.load(out)

    @property
    def operator(self) -> KafkaSettings:
        file = HandOver.load(self.folder / "authority" / "operator.toml")
        return next(iter(file.bus.values()))


class SecuredTown(Town):
    """A town in which everybody has a certificate of their own and no right but their own."""

    @classmethod
    def of_exchange(cls, exchange: SecuredExchange, redis: str) -> Self:
        """Set up the key and a worker's access."""
        made = cls(exchange.folder, exchange.operator, redis)
        made.run("keyholder", "generate", made.key, "--epoch", "1")
        exchange.onboard("worker-1", "worker")
        made.worker_access = ["--bus", str(exchange.folder / "worker-worker-1.toml")]
        return made

    def add_agency(self, name: str, ori: str) -> None:
        bus = self.folder / f"agency-{ori.lower()}.toml"
        self.run("exchange", "onboard", ori, "--role", "agency", "--out", bus, *self.exchange)
        self.run(
            "agency", "init", self.folder / name, "--ori", ori, "--name", name.title(),
            "--bus", bus, "--local-key", self.key,
        )  # fmt: skip

    def add_partner(self, name: str, *agencies: str) -> None:
        bus = self.folder / f"partner-{name}.toml"
        self.run("exchange", "onboard", name, "--role", "partner", "--out", bus, *self.exchange)
        self.run(
            "partner", "init", self.folder / name, "--name", name, "--bus", bus,
            "--local-key", self.key,
        )  # fmt: skip
        signers = [self.folder / agency / "signer.json" for agency in agencies]
        self.run("partner", "trust", *signers, *self.of(name, "partner"))


@contextmanager
def secured_exchange(folder: Path, redis: str) -> Iterator[SecuredExchange]:
    """Start one broker with TLS and SASL listeners on ports agreed beforehand."""
    names = ("CONTROLLER", "INTERNAL", "CLIENT", "PASSWORD")
    ports = {name: free_port() for name in names}
    address = f"127.0.0.1:{ports['CLIENT']}"
    secured = SecuredExchange(folder, address)
    secured.run(
        "exchange", "authority", folder / "authority", "--host", "127.0.0.1", "--bootstrap", address
    )
    (folder / "kafka").mkdir()
    (folder / "kafka" / "ports.json").write_text(json.dumps([ports]))
    start_kafka(folder / "kafka", *_options(folder / "authority" / "broker.properties"))
    try:
        secured.run(
            "exchange", "init", folder / "exchange", "--bus", folder / "authority/operator.toml",
            "--redis", redis,
        )  # fmt: skip
        secured.exchange("topics")
        yield secured
    finally:
        stop_kafka(folder / "kafka")


def _options(properties: Path) -> list[str]:
    """Return the launcher's options: what the exchange wrote for each broker, and two listeners."""
    lines = [line for line in properties.read_text().splitlines() if line and line[0] != "#"]
    # Brokers among themselves are on the loopback here, without TLS.
    lines = [f"{line};User:ANONYMOUS" if line.startswith("super.users") else line for line in lines]
    module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    lines.append(f"listener.name.password.scram-sha-512.sasl.jaas.config={module}")
    options = ["--listener", "CLIENT:SSL", "--listener", "PASSWORD:SASL_SSL"]
    for line in lines:
        options += ["--config", line]
    return options
