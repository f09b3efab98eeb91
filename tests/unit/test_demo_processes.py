"""A demo that is asked to end takes every process with it, whenever it is asked."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from silenthit.demo import processes
from silenthit.demo.processes import ENDING, Crew


@pytest.fixture(autouse=True)
def interrupting() -> Iterator[None]:
    """Let every request to end do as Ctrl-C does, as the demo has it."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in ENDING}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes the crew has started, each one that sleeps instead of what it should do."""
    made: list[subprocess.Popen[str]] = []
    monkeypatch.setattr(processes, "COMMAND", ("sleep",))
    kept = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        made.append(kept(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(processes.subprocess, "Popen", start)
    yield made
    for each in made:
        assert each.stdout is not None
        each.stdout.close()


@pytest.mark.parametrize("number", ENDING)
def test_a_process_started_as_the_demo_is_asked_to_end_is_stopped(
    number: int, tmp_path: Path, started: list[subprocess.Popen[str]], monkeypatch
) -> None:
    starting = processes.subprocess.Popen

    def asked_meanwhile(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        process = starting(*arguments, **options)
        signal.raise_signal(number)
        return process

    monkeypatch.setattr(processes.subprocess, "Popen", asked_meanwhile)
    with pytest.raises(KeyboardInterrupt), Crew(tmp_path) as crew:
        crew.start("broker", "100")
    assert [each.poll() for each in started] == [-signal.SIGTERM]


def test_asked_again_while_it_stops_the_demo_stops_the_rest_first(
    tmp_path: Path, started: list[subprocess.Popen[str]], monkeypatch
) -> None:
    ending = processes._end

    def asked_again(several: list[subprocess.Popen[str]]) -> None:
        signal.raise_signal(signal.SIGINT)
        ending(several)

    monkeypatch.setattr(processes, "_end", asked_again)
    crew = Crew(tmp_path)
    crew.start("broker", "100")
    crew.start("worker", "100")
    with pytest.raises(KeyboardInterrupt):
        crew.stop()
    assert [each.poll() for each in started] == [-signal.SIGTERM] * 2


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path, started) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Crew(tmp_path) as crew:
        crew.start("broker", "100")
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert [each.poll() for each in started] == [-signal.SIGTERM]
