"""Twenty histories on Apache Kafka and Redis, with real kills, moves and losses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from silenthit.bus.clients import KafkaSettings
from tests.histories.on_kafka import run, summary
from tests.services import missing

SEED, HISTORIES = 143_439, 20  # the same in each run; `make test-histories KAFKA=…` goes elsewhere


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_histories_on_kafka_require_and_forbid_what_was_alerted(
    fresh_kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("redis-server") is None:
        missing("redis-server", "apt-get install -y --no-install-recommends redis-server")
    verdict, counts = run(tmp_path, fresh_kafka, HISTORIES, SEED)
    with capsys.disabled():
        print("\n" + summary(SEED, verdict, counts))  # noqa: T201 the figures
    assert verdict.faults == []
    assert verdict.required > HISTORIES
    assert counts["kills"] + counts["moves"] + counts["losses"] > 0
