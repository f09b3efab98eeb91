"""The agent: polls every source into the outbox, and moves the outbox to the broker, until told.

Each source has a thread, the way out has another; all meet in the outbox alone, so that a broker
that is away stops no source and a source that fails stops no other.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from producers.intake import Intake, Take, Tally
from producers.ledger import Ledger
from producers.outbox import Outbox
from producers.publisher import Dispatcher, Published
from silenthit.errors import RetryError, SilentHitError
from silenthit.metrics import Metric, Readings

IDLE_S = 1.0
LONGEST_PAUSE_S = 60.0
FIRST_POLL_S = 2.0
COLLECT_EVERY = 20_000  # objects made; a touch makes a thousand, and few of them in circles
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


@dataclass(slots=True)
class _Way:
    """One of the outbox's lanes to the broker, and how it fared last."""

    name: str
    publish: Callable[[], Published]
    failed: bool = False
    pause: float = IDLE_S
    not_before: float = 0.0


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
    canary_id: bytes
    sources: tuple[Source, ...]
    backfill: frozenset[str] = frozenset()  # names of the sources of history
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
            Metric.CANARY: self._canary,
        }

    def _waiting(self) -> int:
        counts = self.outbox.counts()
        return counts["accepted"] + counts["sealed"]

    def _canary(self) -> float:
        last = self.outbox.confirmed_at(self.canary_id)
        return last.timestamp() if last else 0.0

    def _poll(self, source: Source) -> None:
        take = replace(self.intake, history=source.name in self.backfill).take
        pause = min(source.every_s, FIRST_POLL_S)
        while not self._stop.wait(pause):
            with self._noted(source.name) as failed:
                tally = source.poll(take, self._stop.is_set)
                self._rejected += tally.rejected
                self.ledger.polled(source.name, tally)
                self._arrived.set()
            pause = min(2 * pause, LONGEST_PAUSE_S) if failed else source.every_s

    def _publish(self) -> None:
        dispatcher = replace(self.dispatcher, stopped=self._stop.is_set)
        live = _Way("way out", dispatcher.publish)
        history = _Way("history", dispatcher.publish_history)
        operations = _Way("operations", dispatcher.publish_operations)
        while not self._stop.is_set():
            self._send(live)
            planned = self.outbox.operations.any()  # most agencies have none
            for way in (operations, history) if planned else (history,):
                if not live.failed and time.monotonic() >= way.not_before:
                    self._send(way)
            if live.failed:
                self._stop.wait(live.pause)
            elif self._arrived.wait(IDLE_S):
                self._arrived.clear()

    def _send(self, way: _Way) -> None:
        """Publish one lane; what keeps history waiting keeps no live record waiting."""
        with self._noted(way.name) as failed:
            sent = way.publish()
            self._published += sent.confirmed
            self._rejected += sent.refused
            if sent != Published():
                _log.info(
                    "published", lane=way.name, confirmed=sent.confirmed, refused=sent.refused
                )
            self.ledger.polled(way.name, Tally(new=sent.confirmed, rejected=sent.refused))
        way.failed = bool(failed)
        way.pause = min(2 * way.pause, LONGEST_PAUSE_S) if failed else IDLE_S
        way.not_before = time.monotonic() + (way.pause if failed else 0)

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
            with suppress(RetryError):  # a disk that is full has no room for that either
                self.ledger.polled(name, Tally(), error=failed[0])


def spare_collector() -> None:
    """Keep what was loaded out of the collector's rounds, and let it make fewer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


def run_until_told(agent: Agent) -> None:
    """Run an agent until SIGTERM or SIGINT, or until it ends by itself. Main thread only.

    A handler only writes to a pipe: anything else could meet a lock that it interrupted.
    """
    spare_collector()
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
