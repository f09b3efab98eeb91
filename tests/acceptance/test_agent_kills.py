"""Kill the agent at random moments while broker and key holder come and go: nothing lost or twice.

A kill between the broker's word and the outbox's note of it sends a message once more: the same
bytes under the same id and revision, which compaction and the exchange take for one (that it gives
one alert is shown by test_life_of_a_record).

Forked from a process that has imported everything, so that kills fall on its work and not on its
start. By hand: SILENTHIT_KILLS=1000 SILENTHIT_SEED=7 pytest -m slow -s, with the path of this file.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from producers.settings import read_secret
from producers.touch import record_id
from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.topics import TOUCHES
from silenthit.bus.admin import create_topics, end_offsets, wait_until_ready
from silenthit.bus.clients import KafkaSettings, TopicReader
from tests.key_holders import PLENTY, HolderProcess
from tests.services import start_kafka, stop_kafka
from tests.town import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(3_600)]

KILLS = int(os.environ.get("SILENTHIT_KILLS", "200"))
SEED = int(os.environ.get("SILENTHIT_SEED", "1"))
FILE_RECORDS = 25
LIFE_S, FILES = (0.05, 0.7), 1.2  # an agent lives so long, or for as long as so many files take
AWAY_S, BACK_S = 2.0, 6.0
NURSERY = """
import os, signal, sys
import confluent_kafka, lxml.etree, openpyxl
import producers.agency, producers.agent, producers.cli, producers.narrative
import silenthit.blinding.key_holder_client, silenthit.metrics
from silenthit.cli import main
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        print("pid", os.getpid(), flush=True)
        main()
        os._exit(0)
"""


class Agency:
    """An agency whose agent is started in no time, and what its broker has of it."""

    def __init__(self, folder: Path, bus: KafkaSettings, bundle: Path) -> None:
        self.folder, self.bus = folder, bus
        self._run("init", folder, "--ori", "VT0040100", "--name", "PD",
                  "--bootstrap", bus.bootstrap_servers, "--key-holder", bundle)  # fmt: skip
        self.config = folder / "agency.toml"
        text = self.config.read_text("utf-8").replace("\n[sharing]", "\ncanary = false\n[sharing]")
        source = '\n[[sources]]\nname = "rms"\ntype = "folder"\npath = "in"\nevery_s = 0.05\n'
        self.config.write_text(text + source, "utf-8")
        (folder / "in").mkdir()
        with (folder / "log").open("ab") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-c", NURSERY, "agency", "run", "--config", str(self.config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _run(self, *words: str | Path) -> str:
        command = [sys.executable, "-m", "silenthit", "agency", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def start(self) -> int:
        """Start an agent; return its process id."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write("\n")
        self._nursery.stdin.flush()
        while not (line := self._nursery.stdout.readline()).startswith("pid"):
            assert line, "expected the nursery to live"
        return int(line.split()[1])

    def publish_in_peace(self) -> float:
        """Export and publish a first file undisturbed; return how long that takes, in seconds."""
        self.export(0)
        pid = self.start()  # once the nursery has imported what it needs
        begun = time.monotonic()
        wait_until(
            lambda: sum(end_offsets(self.bus, TOUCHES.name).values()) == FILE_RECORDS,
            "a file to be published",
        )
        taken = time.monotonic() - begun
        os.kill(pid, signal.SIGKILL)
        return taken

    def stop(self) -> None:
        for pipe in (self._nursery.stdin, self._nursery.stdout):
            assert pipe is not None
            pipe.close()
        assert self._nursery.wait(30) == 0

    def export(self, first: int) -> None:
        """Put a file of the records system there, as a careful exporter does."""
        rows = "".join(
            f"R-{n},Ana{n} Ro{n},802-555-{n:04}\n" for n in range(first, first + FILE_RECORDS)
        )
        aside = self.folder / "in" / f"{first}.csv.part"
        aside.write_text(f"record_number,name,phone\n{rows}", encoding="utf-8")
        aside.rename(self.folder / "in" / f"{first}.csv")

    def records(self) -> dict[str, int]:
        status = self._run("status", "--json", "--config", self.config)
        found: dict[str, int] = json.loads(status)["records"]
        return found

    def ids(self, count: int) -> set[bytes]:
        """The ids of the records exported so far."""
        secret = read_secret(self.folder / "keys" / "records.key")
        return {record_id(secret, f"R-{number}") for number in range(count)}

    def published(self) -> tuple[Counter[tuple[bytes, int]], set[tuple[bytes, bytes]]]:
        """How often each revision of each record is on the topic; and each with its content."""
        found: Counter[tuple[bytes, int]] = Counter()
        contents: set[tuple[bytes, bytes]] = set()
        with TopicReader(self.bus, [TOUCHES.name], client_id="test") as reader:
            for message in (each for several in reader.read_to_end() for each in several):
                assert message.value is not None
                touch = codec.decode(message.value, SubjectTouch)
                header = codec.decode(touch.header, TouchHeader)
                assert message.key == header.record_id
                found[header.record_id, header.revision] += 1
                contents.add((header.record_id, sha256(message.value).digest()))
        return found, contents


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[HolderProcess]:
    made = HolderProcess(tmp_path / "holder")
    made.quotas(PLENTY)
    made.start()
    yield made
    made.stop()


def going_and_coming(
    stop: threading.Event, away: Callable[[], None], back: Callable[[], None], luck: random.Random
) -> threading.Thread:
    """Take a service away again and again, until told; it is there at the end."""

    def run() -> None:
        while not stop.wait(luck.uniform(0.5, 1.5) * BACK_S):
            away()
            stop.wait(luck.uniform(0.5, 1.5) * AWAY_S)
            back()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_agent_killed_at_random_moments_publishes_every_record_once(
    tmp_path: Path, holder: HolderProcess
) -> None:
    luck, kafka = random.Random(SEED), tmp_path / "kafka"
    bus = KafkaSettings(bootstrap_servers=start_kafka(kafka)["CLIENT"])
    wait_until_ready(bus)
    create_topics(bus, [(TOUCHES, TOUCHES.name)])
    agency = Agency(tmp_path / "pd", bus, holder.bundle("VT0040100"))
    longest = max(LIFE_S[1], FILES * agency.publish_in_peace())
    records = (1 + KILLS) * FILE_RECORDS
    gone = Counter[str]()

    def take(what: str, action: Callable[[], None]) -> Callable[[], None]:
        def doing() -> None:
            gone[what] += 1
            action()

        return doing

    stop = threading.Event()
    services = [
        going_and_coming(
            stop,
            take("broker", lambda: stop_kafka(kafka)),
            lambda: bool(start_kafka(kafka)) and None,
            random.Random(SEED + 1),
        ),
        going_and_coming(
            stop, take("holder", lambda: holder.stop(kill=True)), holder.start,
            random.Random(SEED + 2),
        ),
    ]  # fmt: skip
    try:
        for first in range(FILE_RECORDS, records, FILE_RECORDS):
            agency.export(first)
            pid = agency.start()
            is_last = first + FILE_RECORDS == records  # which leaves something to who comes after
            time.sleep(0.0 if is_last else luck.uniform(LIFE_S[0], longest))
            os.kill(pid, signal.SIGKILL)
        stop.set()
        for each in services:
            each.join()
        waited = records - agency.records()["published"]
        last = agency.start()
        wait_until(lambda: agency.records()["published"] == records, "every record", 300)
        os.kill(last, signal.SIGTERM)
        agency.stop()
        found, contents = agency.published()
    finally:
        stop.set()
        for each in services:
            each.join()
        stop_kafka(kafka)
    expected = agency.ids(records)
    repeats = sum(found.values()) - len(found)
    missing = len(expected - {ident for ident, _ in found})
    sys.stdout.write(
        f"{KILLS} kills, {len(expected)} records: {len(found)} distinct ids and revisions on the "
        f"topic, {missing} missing; {repeats} messages stand there again byte by byte, and the "
        f"exchange goes by id and revision; {waited} left to the last agent, broker away "
        f"{gone['broker']} times, key holder {gone['holder']} times\n"
    )
    assert set(found) == {(ident, 1) for ident in expected}, "each once, none missing, no other"
    assert len(contents) == len(found), "what is sent again is the same, byte by byte"
    assert gone["broker"] >= KILLS // 50
    assert gone["holder"] >= KILLS // 50
    assert 0 < waited < records - FILE_RECORDS, "kills fell before, in and after publishing"
