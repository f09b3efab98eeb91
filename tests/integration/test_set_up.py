"""deploy/compose/set-up: what the containers of docker-compose.yml run first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from confluent_kafka.admin import AdminClient

from silenthit.bus.clients import KafkaSettings
from tests.services import ROOT


def test_the_parties_of_the_compose_file_set_up_and_can_be_set_up_again(
    tmp_path: Path, fresh_kafka: KafkaSettings, redis_url: str
) -> None:
    command = ["deploy/compose/set-up", str(tmp_path), fresh_kafka.bootstrap_servers, redis_url]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for _ in range(2):
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    topics = AdminClient({"bootstrap.servers": fresh_kafka.bootstrap_servers}).list_topics(
        timeout=10
    )
    assert {"touches", "watches.fbi-c7", "alerts.fbi-c7"} <= topics.topics.keys()
