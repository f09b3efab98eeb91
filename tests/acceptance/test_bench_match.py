"""The benchmark of the match engine runs, in small, and prints what it promises."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.services import ROOT


@pytest.mark.slow
@pytest.mark.usefixtures("kafka", "redis_server")  # so that it is skipped where they are missing
def test_the_benchmark_of_the_match_engine_prints_its_figures() -> None:
    sizes = ["--quick", "--watches", "3000", "--touches", "24000"]
    command = [sys.executable, "benchmarks/match", *sizes, "--only", "faust", "bare", "drop"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for row in ("pointers_on", "pointers_off"):
        assert found["touches_per_s"][row]["faust"] > 0
        assert found["cpu_us_per_touch"][row]["faust"]["all"] > 0
    assert found["index"]["bytes_per_watch"] < 600
    assert found["index"]["cold_load_s"] > 0
    assert found["index"]["snapshot_load_s"] > 0
    assert found["index"]["update_visible_ms_p99"] > 0
    assert found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
