"""A demo that is asked to end takes every process with it, whenever, however often it is asked."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from silenthit.demo import processes
from silenthit.demo.processes import SIGNALS, Crew, Ending


@pytest.fixture
def ending() -> Iterator[Ending]:
    ending = Ending()
    with ending.heeded():
        yield ending


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


def ends(started: list[subprocess.Popen[str]]) -> list[int | None]:
    return [each.poll() for each in started]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_process_started_as_the_demo_is_asked_to_end_is_stopped(
    number: int, tmp_path: Path, ending: Ending, started: list[Any], monkeypatch
) -> None:
    starting = processes.subprocess.Popen

    def asked_meanwhile(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        process = starting(*arguments, **options)
        signal.raise_signal(number)
        return process

    monkeypatch.setattr(processes.subprocess, "Popen", asked_meanwhile)
    with pytest.raises(KeyboardInterrupt), Crew(tmp_path, ending) as crew:
        crew.start("broker", "100")
    assert ends(started) == [-signal.SIGTERM]


def test_asked_again_while_it_ends_the_demo_stops_all_the_same(
    tmp_path: Path, ending: Ending, started: list[Any]
) -> None:
    def interrupted() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGHUP)

    crew = Crew(tmp_path, ending)
    crew.start("broker", "100")
    with pytest.raises(KeyboardInterrupt), crew:
        interrupted()
    assert ends(started) == [-signal.SIGTERM]


def test_asked_while_it_stops_anyway_the_demo_stops_the_rest_first(
    tmp_path: Path, ending: Ending, started: list[Any], monkeypatch
) -> None:
    stopping = processes._end

    def asked(several: list[subprocess.Popen[str]]) -> None:
        signal.raise_signal(signal.SIGINT)
        stopping(several)

    monkeypatch.setattr(processes, "_end", asked)
    crew = Crew(tmp_path, ending)
    crew.start("broker", "100")
    crew.start("worker", "100")
    with pytest.raises(KeyboardInterrupt):
        crew.stop()
    assert ends(started) == [-signal.SIGTERM] * 2


def test_a_process_that_another_thread_starts_is_stopped_too(
    tmp_path: Path, ending: Ending, started: list[Any]
) -> None:
    with Crew(tmp_path, ending) as crew:
        beside = threading.Thread(target=crew.start, args=("worker", "100"))
        beside.start()
        beside.join()
    assert ends(started) == [-signal.SIGTERM]


def test_handlers_are_as_before_when_all_is_over_and_what_is_ignored_stays_so() -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Ending().heeded():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before[signal.SIGHUP])
    assert {each: signal.getsignal(each) for each in SIGNALS} == before
