"""The agent: polls every source into the outbox, and moves the outbox to the broker, until told.

Each source has a thread, the way out has another; all meet in the outbox alone, so that a broker
that is away stops no source and a source that fails stops no other.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from producers.intake import Intake, Take, Tally
from producers.ledger import Ledger
from producers.outbox import Outbox
from producers.publisher import Dispatcher, Published
from silenthit.errors import SilentHitError
from silenthit.metrics import Metric, Readings

IDLE_S = 1.0
LONGEST_PAUSE_S = 60.0
_log = structlog.get_logger(__name__)


class Source(Protocol):
    """Something that is polled. `poll` returns what became of the records that it found."""

    @property
    def name(self) -> str:
        """Under which status and log know it."""
        ...

    @property
    def every_s(self) -> float:
        """Seconds between polls."""
        ...

    def poll(self, take: Take, stopped: Callable[[], bool]) -> Tally:
        """Read what is new. Raises SilentHitError or OSError; the agent tries again later."""
        ...


class Server(Protocol):
    """Something that takes records by itself, until it is told to stop."""

    def run(self) -> None:
        """Serve; returns after `stop`."""
        ...

    def stop(self) -> None:
        """Ask it to end."""
        ...


@dataclass(kw_only=True, slots=True)
class Agent:
    """One agency's agent. `run` returns after `stop`, when everything in hand is put down."""

    outbox: Outbox
    intake: Intake
    dispatcher: Dispatcher
    ledger: Ledger
    sources: tuple[Source, ...]
    servers: tuple[Server, ...] = ()
    _stop: threading.Event = field(default_factory=threading.Event)
    _arrived: threading.Event = field(default_factory=threading.Event)
    _published: int = 0
    _rejected: int = 0

    def run(self) -> None:
        """Work until `stop` is called from a signal handler or another thread."""
        threads = [
            threading.Thread(target=self._poll, args=(each,), name=f"source-{each.name}")
            for each in self.sources
        ]
        threads += [threading.Thread(target=each.run, name="server") for each in self.servers]
        for each in threads:
            each.start()
        try:
            self._publish()
        finally:
            self.stop()
            for each in threads:
                each.join()

    def stop(self) -> None:
        """Ask it to end soon; nothing is lost by it."""
        self._stop.set()
        self._arrived.set()
        for each in self.servers:
            each.stop()

    def readings(self) -> Readings:
        """Its metrics."""
        return {
            Metric.WAITING: self._waiting,
            Metric.PUBLISHED: lambda: self._published,
            Metric.REFUSED: lambda: self._rejected,
        }

    def _waiting(self) -> int:
        counts = self.outbox.counts()
        return counts["accepted"] + counts["sealed"]

    def _poll(self, source: Source) -> None:
        pause = source.every_s
        while not self._stop.wait(pause):
            with self._noted(source.name) as failed:
                tally = source.poll(self.intake.take, self._stop.is_set)
                self._rejected += tally.rejected
                self.ledger.polled(source.name, tally)
                self._arrived.set()
            pause = min(2 * pause, LONGEST_PAUSE_S) if failed else source.every_s

    def _publish(self) -> None:
        pause = IDLE_S
        dispatcher = replace(self.dispatcher, stopped=self._stop.is_set)
        while not self._stop.is_set():
            with self._noted("way out") as failed:
                sent = dispatcher.publish()
                self._published += sent.confirmed
                self._rejected += sent.refused
                if sent != Published():
                    _log.info("published", confirmed=sent.confirmed, refused=sent.refused)
                self.ledger.polled("way out", Tally(new=sent.confirmed, rejected=sent.refused))
            pause = min(2 * pause, LONGEST_PAUSE_S) if failed else IDLE_S
            if failed:
                self._stop.wait(pause)
            elif self._arrived.wait(IDLE_S):
                self._arrived.clear()

    @contextmanager
    def _noted(self, name: str) -> Iterator[list[str]]:
        """Log and remember what went wrong; what it yields stays empty unless something did."""
        failed: list[str] = []
        try:
            yield failed
        except (SilentHitError, OSError) as error:
            text = str(error) if isinstance(error, SilentHitError) else error.strerror or "OSError"
            failed.append(text)
            _log.warning("will try again", source=name, error=error)
        except Exception as error:  # noqa: BLE001 the last line of defence of a thread
            failed.append(f"{type(error).__name__}: a bug; see the log")
            _log.exception("failed", source=name, exc_info=error)
        if failed:
            self.ledger.polled(name, Tally(), error=failed[0])


def run_until_told(agent: Agent) -> None:
    """Run an agent until SIGTERM or SIGINT, or until it ends by itself. Main thread only.

    A handler only writes to a pipe: anything else could meet a lock that it interrupted.
    """
    ended, end = os.pipe()

    def tell(*_: object) -> None:
        os.write(end, b".")

    def work() -> None:
        try:
            agent.run()
        finally:
            tell()

    before = {each: signal.signal(each, tell) for each in (signal.SIGTERM, signal.SIGINT)}
    thread = threading.Thread(target=work, name="way-out")
    thread.start()
    os.read(ended, 1)
    agent.stop()
    thread.join()
    for each, handler in before.items():
        signal.signal(each, handler)
    os.close(ended)
    os.close(end)
