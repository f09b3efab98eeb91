"""Kill the inbox at random moments: no alert lost, none posted more than once more."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from consumers.vault import ALERTS, ATTEMPTS, PAGES
from schemas import codec
from schemas.messages import WatchRegistration
from schemas.topics import ALERTS as ALERTS_TOPIC
from silenthit.bus.clients import KafkaSettings, Publisher
from tests.partner_room import PARTNER, Room

# The process as it is, but for a lease that runs out before the test does.
INBOX = """
import consumers.paging
consumers.paging.LEASE_MS = 1500
from silenthit.cli import main
main()
"""
PROTOCOL = """
timezone: UTC
people:
  reyes: {channels: [sms]}
branches:
  - name: all
    levels: [{call: [reyes], within: 7d}]
last_resort: {call: [reyes]}
"""


class Desk:
    """Counts what was posted, by channel and alert."""

    def __init__(self) -> None:
        self.posts: Counter[tuple[str, str]] = Counter()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                found = re.search(r"alert ([0-9a-f]{32})", body)
                assert found is not None
                desk.posts[self.path, found[1]] += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] killed clients
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def url(self, path: str) -> str:
        return f"json://127.0.0.1:{self._server.server_port}/{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.stop()


def _config(folder: Path, settings: KafkaSettings, desk: Desk) -> Path:
    (folder / "protocol.yaml").write_text(PROTOCOL, "utf-8")
    config = folder / "partner.toml"
    config.write_text(
        f"""
name = "{PARTNER}"
vault_key = "vault.key"
protocol = "protocol.yaml"
deliver_to = ["desk"]
[bus.partner]
bootstrap_servers = "{settings.bootstrap_servers}"
[blinding]
[channels.desk]
url = "{desk.url("desk")}"
[channels.sms]
url = "{desk.url("sms")}"
""",
        "utf-8",
    )
    return config


def _trickle(
    room: Room, settings: KafkaSettings, registration: WatchRegistration, stop: threading.Event
) -> list[str]:
    """Publish an alert of a record of its own every now and then, until told to stop."""
    published: list[str] = []
    with Publisher(settings, client_id="exchange") as exchange:
        while not stop.wait(0.1):
            touch = room.touch(record=f"H-{len(published)}")
            alert = room.alert(touch, registration)
            topic = ALERTS_TOPIC.of(PARTNER)
            exchange.send(topic, alert.alert_id, codec.encode(alert)).result(30)
            published.append(alert.alert_id.hex())
    return published


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_no_kill_loses_an_alert_or_repeats_a_post_more_than_once(
    kills: int, embedded_broker: KafkaSettings, tmp_path: Path, desk: Desk
) -> None:
    room = Room.make(tmp_path)
    room.add()
    registration = room.registrations()[0]
    config = _config(tmp_path, embedded_broker, desk)
    stop, published = threading.Event(), list[str]()
    source = threading.Thread(
        target=lambda: published.extend(_trickle(room, embedded_broker, registration, stop))
    )
    source.start()
    command = [sys.executable, "-c", INBOX, "alerts", "receive", "--config", str(config)]
    for number in range(kills):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as inbox:
            assert inbox.stdout is not None
            if number % 3:  # otherwise it may die before it has done anything
                assert inbox.stdout.readline()
            time.sleep(random.uniform(0, 0.4))
            inbox.kill()
    stop.set()
    source.join()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as inbox:
        deadline = time.monotonic() + 120
        while not _all_recorded(room, 2 * len(published)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        inbox.terminate()
        assert inbox.wait(30) == 0
    with room.vault.read() as rows:
        assert {row["id"].hex() for row in rows.find(ALERTS, columns=("status",))} == set(published)
        tries = list(rows.find(ATTEMPTS))
    wanted = {(path, each) for path in ("/desk", "/sms") for each in published}
    posted = Counter(row["page_id"] for row in tries if row["outcome"] == "posted")
    unknown = Counter(row["page_id"] for row in tries if row["outcome"] == "trying")
    assert max(desk.posts.values()) <= 2
    assert set(posted.values()) == {1}
    assert sum(desk.posts.values()) <= len(posted) + sum(unknown.values())
    # What was never heard is known to be so: two crashes, each before the same post.
    spent = [page for page, times in unknown.items() if times == 2 and page not in posted]
    assert len(wanted - desk.posts.keys()) <= len(spent)
    assert len(posted) + len(spent) == len(wanted)


def _all_recorded(room: Room, pages: int) -> bool:
    with room.vault.read() as rows:
        states = [row["state"] for row in rows.find(PAGES, columns=("state",))]
    return len(states) == pages and set(states) == {"posted"}
