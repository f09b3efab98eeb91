"""The reply server as it runs: a person follows the link in a message and claims."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from consumers.cases import case_of
from silenthit.call_tree.links import LinkSigner, ReplySettings
from silenthit.call_tree.protocol import load_protocol
from silenthit.settings import load_toml
from tests.partner_room import PARTNER, Room

PROTOCOL = """
timezone: UTC
people:
  reyes: {channels: [desk]}
branches:
  - name: all
    levels: [{call: [reyes], within: 1h}]
last_resort: {call: [reyes]}
"""
CONFIG = f"""
name = "{PARTNER}"
vault_key = "vault.key"
protocol = "protocol.yaml"
[bus.partner]
bootstrap_servers = "127.0.0.1:1"
[blinding]
[channels.desk]
url = "json://127.0.0.1:1/desk"
[replies]
url = "https://answer.fbi.test"
port = 0
"""


def test_a_person_follows_the_link_and_claims(tmp_path: Path) -> None:
    room = Room.make(tmp_path)
    (tmp_path / "protocol.yaml").write_text(PROTOCOL, "utf-8")
    config, port_file = tmp_path / "partner.toml", tmp_path / "port"
    config.write_text(CONFIG, "utf-8")
    room.protocol = load_protocol(tmp_path / "protocol.yaml")
    room.add()
    alert = room.alert(room.touch(), room.registrations()[0])
    room.receive(alert)
    command = [sys.executable, "-m", "silenthit", "alerts", "replies", "--config", str(config)]
    with subprocess.Popen([*command, "--port-file", str(port_file)]) as server:
        try:
            port = _written(port_file, server)
            token = _signer(config).token(alert.alert_id, "reyes", datetime.now(UTC))
            link = f"http://127.0.0.1:{port}/r/{token}"
            seen = httpx.get(link, timeout=30)
            assert "nobody" not in seen.text
            assert "Blue Heron 1" in seen.text
            claimed = httpx.post(link, json={"action": "claim"}, timeout=30)
            assert claimed.json() == {"stage": "owned", "owner": "reyes"}
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) in (0, -signal.SIGTERM)
    with room.vault.read() as rows:
        case = case_of(rows, alert.alert_id)
    assert case is not None
    assert case.owner == "reyes"


def _written(path: Path, server: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_text("utf-8")):
        assert server.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(path.read_text("utf-8"))


def _signer(config: Path) -> LinkSigner:
    from consumers.settings import PartnerSettings

    replies = load_toml(config, PartnerSettings).replies
    assert isinstance(replies, ReplySettings)
    assert replies.key == config.parent / "keys" / "replies.key"
    return LinkSigner.open(replies)
