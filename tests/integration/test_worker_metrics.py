"""What a matching worker shows to Prometheus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from silenthit.bus.clients import KafkaSettings, Publisher
from tests.services import free_port

SILENTHIT = str(Path(sys.executable).with_name("silenthit"))


def run(*arguments: str) -> None:
    subprocess.run([SILENTHIT, *arguments], check=True, capture_output=True)


def test_a_message_set_aside_is_counted(tmp_path: Path, embedded_broker: KafkaSettings) -> None:
    folder, port = tmp_path / "exchange", free_port()
    config, ready = folder / "exchange.toml", tmp_path / "ready"
    run("exchange", "init", str(folder), "--bootstrap", embedded_broker.bootstrap_servers)
    config.write_text(f"metrics_port = {port}\n" + config.read_text("utf-8"), encoding="utf-8")
    run("exchange", "topics", "--config", str(config))
    command = ["exchange", "work", "--config", str(config), "--ready-file", str(ready)]
    worker = subprocess.Popen([SILENTHIT, *command])
    try:
        while not ready.exists():
            assert worker.poll() is None
        with Publisher(embedded_broker, client_id="test") as publisher:
            publisher.send("touches", b"key", b"no touch").result(10)
        while "silenthit_exchange_quarantined_total 1.0" not in page(port):
            assert worker.poll() is None
    finally:
        worker.terminate()
        worker.wait(20)


def page(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics").text
