"""deploy/kafka/kafka.py: several brokers, several listeners, one killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.services import LAUNCHER, start_kafka, stop_kafka

OPTIONS = ("--brokers", "3", "--listener", "AGENCY", "--listener", "PARTNER")


def status(folder: Path) -> tuple[int, list[int]]:
    command = [sys.executable, str(LAUNCHER), "status", "--dir", str(folder)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    return shown.returncode, json.loads(shown.stdout)["pids"]


def brokers(address: str) -> int:
    return len(AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).brokers)


@pytest.mark.slow
def test_three_brokers_with_two_listeners_survive_the_end_of_one(tmp_path: Path) -> None:
    addresses = start_kafka(tmp_path, *OPTIONS)
    try:
        assert addresses.keys() == {"AGENCY", "PARTNER"}
        assert set(addresses["AGENCY"].split(",")).isdisjoint(addresses["PARTNER"].split(","))
        assert brokers(addresses["AGENCY"]) == brokers(addresses["PARTNER"]) == 3
        os.kill(int((tmp_path / "node-2" / "pid").read_text()), signal.SIGKILL)
        while len(status(tmp_path)[1]) > 2:
            pass
        assert start_kafka(tmp_path, *OPTIONS) == addresses
        assert status(tmp_path)[0] == 0
        assert brokers(addresses["AGENCY"]) == 3
    finally:
        stop_kafka(tmp_path)
    assert status(tmp_path) == (1, [])
