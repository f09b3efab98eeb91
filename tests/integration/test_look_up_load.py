"""Under 200 inquiries at once on Apache Kafka and Redis nobody times out, and every card comes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tests.services import JARS, ROOT, missing


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.redis
def test_two_hundred_at_once_are_all_answered_rightly() -> None:
    """The benchmark with fewer pointers: it opens every answer and counts its cards."""
    if not list(JARS.glob("kafka-server-*.jar")) or shutil.which("redis-server") is None:
        missing("Kafka's jars and redis-server", "make services")
    command = [sys.executable, str(ROOT / "benchmarks" / "lookup.py"), "50000", "400"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["burst"]["inquiries"], result["burst"]["wrong_or_late"]) == (200, 0)
    assert (result["in_turns"]["inquiries"], result["in_turns"]["wrong_or_late"]) == (1500, 0)
