"""Lost 0, duplicated 0, unexplained 0, whatever breaks; and the judge notices planted bugs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.faults.planted import PLANTED
from tests.services import JARS, ROOT, missing

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1_500)]

SEED, SCHEDULES = 40, 15  # the same in each run; `python -m tests.faults.run` goes elsewhere


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of one run: a process, for it takes namespaces of its own."""
    if shutil.which("redis-server") is None or shutil.which("java") is None:
        missing("redis-server and java", "deploy/install-services")
    if not list(JARS.glob("kafka-server-*.jar")):
        missing("Kafka's jars", "mvn -B -f deploy/kafka/pom.xml package")
    report = tmp_path_factory.mktemp("faults") / "report.jsonl"
    command = [sys.executable, "-m", "tests.faults.run", "--roll", "--planted"]
    command += ["--seed", str(SEED), "--schedules", str(SCHEDULES), "--report", str(report)]
    subprocess.run(command, cwd=ROOT, check=False)
    found: dict[str, Any] = json.loads(report.read_text("utf-8"))
    return found


def test_nothing_is_lost_and_nothing_told_twice_or_without_reason(summary: dict[str, Any]) -> None:
    assert summary["faults"] == []
    assert summary["counts"]["schedules"] == SCHEDULES + 1  # the rolling restart is one, too
    assert summary["counts"]["required"] > 100 * SCHEDULES


def test_planted_bugs_are_noticed(summary: dict[str, Any]) -> None:
    assert set(summary["noticed"]) == set(PLANTED)
    assert summary["not noticed"] == []
