"""The answer process of a secured town, with its own access to the brokers."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Self

from tests.secured import SecuredTown
from tests.town import wait_until


@dataclass
class Answering:
    """One such process; `program` is the module that is run."""

    town: SecuredTown
    program: str = "silenthit"
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def start(self) -> None:
        """Start it with its own access; return once it answers."""
        ready = self.town.folder / "answer.ready"
        bus = self.town.folder / "answer-answer-1.toml"
        for left in (ready, bus):
            left.unlink(missing_ok=True)
        self.town.run(
            "exchange", "onboard", "answer-1", "--role", "answer", "--out", bus,
            *self.town.exchange,
        )  # fmt: skip
        command = ["exchange", "answer", "--bus", str(bus), "--ready-file", str(ready)]
        with (self.town.folder / "answer.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.program, *command, *self.town.exchange],
                stdout=log,
                stderr=log,
            )
        wait_until(ready.exists, "the answer process to be ready")
