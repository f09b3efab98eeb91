"""The `silenthit` command as its users meet it: a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from silenthit.bus.admin import wait_until_ready
from silenthit.bus.clients import KafkaSettings
from silenthit.cli import ENTRIES

SILENTHIT = str(Path(sys.executable).with_name("silenthit"))


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SILENTHIT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_help_names_every_group_and_loads_little() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for name, entry in ENTRIES.items():
        assert name in shown.stdout
        assert entry.help.split()[0] in shown.stdout
    loaded = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-c",
            "import sys; sys.argv=['silenthit','--help']; from silenthit.cli import main; main()",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    modules = {line.rpartition("|")[2].strip() for line in loaded.stderr.splitlines()}
    heavy = {"producers", "consumers", "stream_processors", "key_holder", "confluent_kafka"}
    assert not heavy & modules
    assert len(modules) < 350, "it answers at once: most of that time goes into imports"


@pytest.mark.parametrize("name", ENTRIES)
def test_every_group_has_help_with_an_example(name: str) -> None:
    shown = run(name, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "Example" in shown.stdout or "COMMAND" in shown.stdout


def test_an_error_is_one_line_with_a_remedy_and_its_own_exit_code(tmp_path: Path) -> None:
    config = tmp_path / "exchange.toml"
    config.write_text("bus = 3", encoding="utf-8")
    shown = run("exchange", "quarantine", "--config", str(config))
    assert shown.returncode == 3
    assert shown.stdout == ""
    assert shown.stderr.startswith("error: expected")
    assert "Traceback" not in shown.stderr


def test_a_word_it_does_not_know_is_a_usage_error() -> None:
    assert run("wach").returncode == 2


def test_the_embedded_broker_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    port_file = tmp_path / "broker"
    broker = subprocess.Popen([SILENTHIT, "exchange", "broker", "--port-file", str(port_file)])
    try:
        while not port_file.exists():
            assert broker.poll() is None
        address = port_file.read_text(encoding="ascii").strip()
        wait_until_ready(KafkaSettings(bootstrap_servers=address), 10)
    finally:
        broker.send_signal(signal.SIGTERM)
    assert broker.wait(10) == 0
    assert not port_file.exists()
