from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SAMPLES = REPOSITORY / "samples"
DEMO = [sys.executable, "-m", "silenthit", "demo"]
LONGEST_S = 90

pytestmark = pytest.mark.slow


def run_demo(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *options],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )


def processes_in(folder: Path) -> list[int]:
    """Process ids of whoever works in a folder; every process of the demo does."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def count_records(samples: Path) -> int:
    reports = len(list(samples.glob("*/lexs/*.xml")))
    numbers = set()
    for table in samples.glob("*/*.csv"):
        column = tomllib.loads(table.with_suffix(".toml").read_text())["columns"]["record_number"]
        with table.open(newline="") as file:
            numbers |= {row[column] for row in csv.DictReader(file)}
    return reports + len(numbers)


@pytest.mark.parametrize("options", [(), ("--split-trust",)])
def test_json_is_one_object_and_the_alerts_are_those_worked_out_by_hand(tmp_path, options):
    done = run_demo("--json", "--keep", str(tmp_path / "kept"), *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = tomllib.loads((SAMPLES / "expected_alerts.toml").read_text())["alert"]
    latency = found.pop("alert_latency_ms")
    assert found == {
        "touches": count_records(SAMPLES),
        "watches": 22,
        "alerts": len(expected),
        "expected_alerts": len(expected),
        "unexpected_alerts": 0,
    }
    assert 0 < latency["p50"] <= latency["p99"] < 60_000
    assert processes_in(tmp_path) == []


def test_an_alert_too_many_and_one_too_few_are_told_and_end_in_exit_code_1(tmp_path):
    samples = shutil.copytree(SAMPLES, tmp_path / "samples")
    listed = samples / "expected_alerts.toml"
    other = listed.read_text().replace("FI25-3301", "FI25-3302", 1)
    listed.write_text(other)
    done = run_demo("--json", "--samples", str(samples))
    assert done.returncode == 1
    assert json.loads(done.stdout)["unexpected_alerts"] == 1
    assert "missing: fbi-c7, motel circuit: lead, FI25-3302" in done.stderr
    assert "unexpected: fbi-c7, motel circuit: lead, FI25-3301" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_a_demo_that_is_interrupted(tmp_path, number):
    folder = tmp_path / "kept"
    # What a shell starts in the background ignores SIGINT, and so do its children.
    command = ["env", "--default-signal=INT", *DEMO, "--keep", str(folder)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + LONGEST_S
        while not (folder / "worker.log").exists() and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        assert processes_in(folder) != []
        process.send_signal(number)
        assert process.wait(LONGEST_S) == 130
    finally:
        process.kill()
        process.wait()
    assert processes_in(folder) == []


def test_the_demo_imports_no_zone():
    modules = [
        f"silenthit.demo.{each.stem}" for each in (REPOSITORY / "silenthit/demo").glob("*.py")
    ]
    program = (
        f"import importlib, sys; [importlib.import_module(m) for m in {modules!r}]; "
        "zones = {'producers', 'key_holder', 'stream_processors', 'consumers'}; "
        "print(sorted(zones & {m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
