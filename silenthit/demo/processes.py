"""The demo's processes: each started through the `silenthit` command, each stopped by its id.

    ending = Ending()
    with ending.heeded(), Crew(folder, ending) as crew:
        crew.run("keyholder", "generate", "key.json", "--epoch", "1")
        worker = crew.start("worker", "exchange", "work", "--config", "exchange.toml")

Each has a session of its own, so that Ctrl-C reaches the demo alone, which then stops the others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from silenthit.errors import RetryError, SilentHitError

STOP_S = 5.0
LOOK_S = 0.02  # how often a file or a process is looked at while it is waited for
REASON_CHARS = 600
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMAND = (sys.executable, "-m", "silenthit")


class DemoError(SilentHitError):
    """A process of the demo failed; its log says why."""


class Ending:
    """Requests to end: each of these signals does as Ctrl-C does, once, and not in the middle.

    What a shell started in the background ignores some of them, and goes on to.
    """

    def __init__(self) -> None:
        """Heed nothing yet."""
        self._asked = self._told = False
        self._putting_off = 0

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let the first request end what is done here, by KeyboardInterrupt."""
        before: dict[signal.Signals, Any] = {}
        try:
            for each in SIGNALS:
                if signal.getsignal(each) != signal.SIG_IGN:
                    before[each] = signal.getsignal(each)
                    signal.signal(each, self._ask)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Put a request off until this is done.

        A process that is started and not yet noted, or not yet stopped, would outlive the demo.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # no signal is handled here
            return
        self._putting_off += 1
        try:
            yield
        finally:
            self._putting_off -= 1
            self._tell()

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 as signals have it
        self._asked = True
        self._tell()

    def _tell(self) -> None:
        if self._asked and not self._told and not self._putting_off:
            self._told = True  # whatever comes now finds it ending
            raise KeyboardInterrupt


class Crew:
    """Processes that end when this does."""

    def __init__(self, folder: Path, ending: Ending) -> None:
        """`folder` takes a log of each process, and is where they run."""
        self._folder, self._ending = folder, ending
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        """Begin with none."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop those that still run."""
        self.stop()

    def run(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        """Run a command to its end and return its standard output.

        Raises DemoError when it ends with a code that is not accepted.
        """
        name = f"{' '.join(arguments[:2])}#{id(arguments)}"
        process = self._spawn(name, arguments)
        output, reason = process.communicate()
        with self._lock:
            self._running.pop(name, None)
        if process.returncode not in accept:
            raise _failed(arguments, process.returncode, reason)
        return output

    def start(
        self, name: str, *arguments: str, on_line: Callable[[str], None] | None = None
    ) -> None:
        """Start a process that runs until the crew stops; `on_line` gets what it prints.

        `on_line` is called in a thread of its own.
        """
        process = self._spawn(name, arguments, log=self._folder / f"{name}.log")
        if on_line is not None:
            threading.Thread(target=_lines, args=(process, on_line), daemon=True).start()

    def _spawn(
        self, name: str, arguments: tuple[str, ...], log: Path | None = None
    ) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        with self._ending.put_off(), self._lock:
            if self._closed:
                raise DemoError("expected a demo that goes on, got one that is being stopped")
            errors = log.open("w", encoding="utf-8") if log else subprocess.PIPE
            try:
                process = subprocess.Popen(
                    [*COMMAND, *arguments],
                    cwd=self._folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    start_new_session=True,
                )
            finally:
                if not isinstance(errors, int):
                    errors.close()
            self._running[name] = process
        return process

    def check(self) -> None:
        """Raise DemoError when a process that should run has ended."""
        for name, process in list(self._running.items()):
            log = self._folder / f"{name}.log"
            if process.poll() is not None and log.exists():
                raise _failed((name,), process.returncode, log.read_text("utf-8", "replace"))

    def wait_for(self, path: Path, timeout: float) -> str:
        """Return what is in a file once a process has made it.

        Raises DemoError when a process ends meanwhile, RetryError after `timeout` seconds.
        """
        self.wait_until(path.exists, timeout, f"the file {path.name}")
        return path.read_text(encoding="utf-8").strip()

    def wait_until(self, done: Callable[[], bool], timeout: float, what: str) -> None:
        """Return once `done()`, with the same errors as `wait_for`."""
        end = time.monotonic() + timeout
        while not done():
            self.check()
            if time.monotonic() > end:
                raise RetryError(f"expected {what} within {timeout:.0f} s, got none; try again")
            time.sleep(LOOK_S)

    def stop(self) -> None:
        """Ask every process to end, by force after five seconds; the first one started goes last.

        That is the broker: the others would spend their last seconds looking for it.
        """
        with self._ending.put_off():
            with self._lock:
                self._closed = True
                running = list(self._running.values())
            for several in (running[1:], running[:1]):
                _end(several)


def _end(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    end = time.monotonic() + STOP_S
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lines(process: subprocess.Popen[str], on_line: Callable[[str], None]) -> None:
    if process.stdout is not None:
        for line in process.stdout:
            on_line(line)


def _failed(arguments: tuple[str, ...], code: int, reason: str) -> DemoError:
    said = reason.strip()[-REASON_CHARS:] or "nothing"
    return DemoError(
        f"expected `silenthit {' '.join(arguments[:2])}` to succeed, got exit code {code}; "
        f"it said: {said}"
    )
