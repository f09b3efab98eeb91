"""Kill the inbox at random moments: no alert lost, none told more often than a channel must bear.

The process that receives, escalates and posts is one (`silenthit alerts receive`). It is forked
from a process that has imported everything, so that kills fall on its work and not on its start.
By hand: SILENTHIT_KILLS=2000 SILENTHIT_SEED=7 pytest -m slow -s, with the path of this file.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from consumers.vault import ALERTS, ATTEMPTS, PAGES
from schemas import codec
from schemas.messages import WatchRegistration
from schemas.topics import ALERTS as ALERTS_TOPIC
from silenthit.bus.clients import KafkaSettings, Publisher
from tests.partner_room import PARTNER, Room

KILLS = int(os.environ.get("SILENTHIT_KILLS", "200"))
SEED = int(os.environ.get("SILENTHIT_SEED", "1"))
DONE_S = 600
# Forks the process as it is, but for a lease that runs out before the test does.
NURSERY = """
import os, signal, sys
import apprise, httpx, confluent_kafka
import consumers.answering, consumers.cli, consumers.receiving
import silenthit.call_tree.posting
from silenthit.cli import main
silenthit.call_tree.posting.LEASE_MS = 1500
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        print("pid", os.getpid(), flush=True)
        main()
        os._exit(0)
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
    """Takes posts: on /ledger those with a key it knows already change nothing."""

    def __init__(self) -> None:
        self.posts: Counter[tuple[str, str]] = Counter()
        self.ledger: dict[str, str] = {}  # key: alert
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                found = re.search(r"alert ([0-9a-f]{32})", body)
                assert found is not None
                desk.posts[self.path, found[1]] += 1
                if self.path == "/ledger":
                    assert json.loads(body)["id"] == self.headers["Idempotency-Key"]
                    desk.ledger[self.headers["Idempotency-Key"]] = found[1]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # killed clients
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def url(self, path: str, scheme: str = "json") -> str:
        return f"{scheme}://127.0.0.1:{self._server.server_port}/{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.stop()


class Nursery:
    """Starts inbox processes in no time."""

    def __init__(self, config: Path) -> None:
        command = [sys.executable, "-c", NURSERY, "alerts", "receive", "--config", str(config)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._into, self._out = self._process.stdin, self._process.stdout

    def start(self) -> int:
        """Start one; return its process id."""
        self._into.write("\n")
        self._into.flush()
        while not (line := self._out.readline()).startswith("pid"):
            assert line, "expected the nursery to live"
        return int(line.split()[1])

    def wait_for_work(self) -> None:
        """Wait until it says that it received something."""
        assert self._out.readline()

    def stop(self) -> None:
        """End it and whatever it started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._into.close()
        self._out.close()


@pytest.fixture
def nursery(tmp_path: Path, embedded_broker: KafkaSettings, desk: Desk) -> Iterator[Nursery]:
    made = Nursery(_config(tmp_path, embedded_broker, desk))
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
deliver_to = ["desk", "ledger"]
[bus.partner]
bootstrap_servers = "{settings.bootstrap_servers}"
[blinding]
[channels.desk]
url = "{desk.url("desk")}"
[channels.sms]
url = "{desk.url("sms")}"
[channels.ledger]
url = "{desk.url("ledger", "http")}"
confirms = true
""",
        "utf-8",
    )
    return config


class Source:
    """Publishes alerts, each of a record of its own, beside the test and as many as it asks for."""

    def __init__(
        self, room: Room, settings: KafkaSettings, registration: WatchRegistration
    ) -> None:
        self.published: list[str] = []
        self._room, self._settings, self._registration = room, settings, registration
        self._wanted: Queue[int] = Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def ask_for(self, alerts: int) -> None:
        self._wanted.put(alerts)

    def stop(self) -> None:
        self._wanted.put(0)
        self._thread.join()

    def _work(self) -> None:
        topic = ALERTS_TOPIC.of(PARTNER)
        with Publisher(self._settings, client_id="exchange") as exchange:
            while alerts := self._wanted.get():
                for _ in range(alerts):
                    touch = self._room.touch(record=f"H-{len(self.published)}")
                    alert = self._room.alert(touch, self._registration)
                    exchange.send(topic, alert.alert_id, codec.encode(alert)).result(60)
                    self.published.append(alert.alert_id.hex())


@pytest.mark.parametrize("kills", [8, pytest.param(KILLS, marks=pytest.mark.slow)])
@pytest.mark.timeout(3600)
def test_no_kill_loses_an_alert_or_repeats_a_post_more_than_a_channel_must_bear(
    kills: int, embedded_broker: KafkaSettings, tmp_path: Path, desk: Desk, request: Any
) -> None:
    chance, began = random.Random(SEED), time.monotonic()
    room = Room.make(tmp_path)
    room.add()
    registration = room.registrations()[0]
    nursery: Nursery = request.getfixturevalue("nursery")
    source = Source(room, embedded_broker, registration)
    published = source.published
    for number in range(kills):
        inbox = nursery.start()
        source.ask_for(chance.randint(1, 2))
        if number % 3 == 0:  # otherwise it may die before it has done anything
            nursery.wait_for_work()
        time.sleep(chance.uniform(0, 0.6))
        os.kill(inbox, signal.SIGKILL)
    source.stop()
    inbox, killed_for = nursery.start(), time.monotonic() - began
    deadline = time.monotonic() + DONE_S
    while not _all_recorded(room, 3 * len(published)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(inbox, signal.SIGTERM)
    _check(room, desk, published)
    repeats = sum(each - 1 for (path, _), each in desk.posts.items() if path != "/ledger")
    again = sum(each - 1 for (path, _), each in desk.posts.items() if path == "/ledger")
    print(  # noqa: T201 the figures of a run
        f"seed {SEED}: {kills} kills in {killed_for:.0f} s, {len(published)} alerts, "
        f"{sum(desk.posts.values())} posts, {repeats} repeated, {again} confirmed as had, "
        f"{time.monotonic() - began:.0f} s in all"
    )


def _check(room: Room, desk: Desk, published: list[str]) -> None:
    with room.vault.read() as rows:
        assert {row["id"].hex() for row in rows.find(ALERTS, columns=("status",))} == set(published)
        tries = [(row["page_id"], row["private"], row["outcome"]) for row in rows.find(ATTEMPTS)]
    # A channel that confirms shows every alert, and shows it once, however often it was posted.
    assert sorted(desk.ledger.values()) == sorted(published)
    posted = Counter((page, name) for page, name, outcome in tries if outcome == "posted")
    assert set(posted.values()) == {1}
    # One that cannot has it at most once more.
    others = Counter({key: n for key, n in desk.posts.items() if key[0] != "/ledger"})
    assert max(others.values()) <= 2
    unknown = Counter(
        (page, name) for page, name, how in tries if how == "trying" and name != b"ledger"
    )
    known = {key for key in posted if key[1] != b"ledger"}
    assert sum(others.values()) <= len(known) + sum(unknown.values())
    # What was never heard is known to be so: two crashes, each before the same post.
    wanted = {(path, each) for path in ("/desk", "/sms") for each in published}
    spent = [key for key, times in unknown.items() if times == 2 and key not in known]
    assert len(wanted - others.keys()) <= len(spent)
    assert len(known) + len(spent) == len(wanted)


def _all_recorded(room: Room, posts: int) -> bool:
    """Whether every page is done; `posts` counts a page for each of its channels."""
    with room.vault.read() as rows:
        states = [row["state"] for row in rows.find(PAGES, columns=("state",))]
    return len(states) == posts * 2 // 3 and set(states) == {"posted"}
