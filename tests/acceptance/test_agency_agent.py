"""The agent as a service: a watched folder, unattended; stopped, killed, and the broker away."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

import httpx
import pytest

from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.topics import TOUCHES
from silenthit.bus.clients import KafkaSettings, TopicReader
from silenthit.bus.embedded import EmbeddedBroker
from tests.services import free_port

SOURCE = '\n[[sources]]\nname = "rms"\ntype = "folder"\npath = "incoming"\nevery_s = 0.2\n'


class Service:
    """An agency whose agent watches `incoming`."""

    def __init__(self, folder: Path, bus: KafkaSettings) -> None:
        self.folder, self.bus = folder, bus
        self.run("keyholder", "generate", str(folder / "epoch.json"), "--epoch", "1")
        self.run(
            "agency", "init", str(folder / "pd"), "--ori", "VT0040100", "--name", "Burlington PD",
            "--bootstrap", bus.bootstrap_servers, "--local-key", str(folder / "epoch.json"),
        )  # fmt: skip
        self.config = folder / "pd" / "agency.toml"
        text = self.config.read_text("utf-8")
        # A key of the whole must stand before the first table. Tests count what they publish.
        head, table = text.split("\n[sharing]", 1)
        self.config.write_text(
            f"{head}\ncanary = false\n[sharing]{table}{SOURCE}", encoding="utf-8"
        )
        self.incoming = folder / "pd" / "incoming"
        self.incoming.mkdir()

    def run(self, *words: str) -> str:
        command = [sys.executable, "-m", "silenthit", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = json.loads(
            self.run("agency", "status", "--json", "--config", str(self.config))
        )
        return found

    @contextmanager
    def agent(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "silenthit", "agency", "run", "--config", str(self.config)]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)

    def drop(self, name: str, content: str) -> None:
        """Put a file there as a careful exporter does: written aside, then renamed."""
        aside = self.incoming / f"{name}.part"
        aside.write_text(content, encoding="utf-8")
        aside.rename(self.incoming / name)

    def tombstones(self) -> int:
        with TopicReader(self.bus, [TOUCHES.name], client_id="test") as reader:
            found = 0
            while not reader.caught_up():
                found += sum(each.value is None for each in reader.read(1000, 0.5))
        return found

    def published(self) -> Counter[tuple[bytes, int]]:
        """Record id and revision of every message on the topic, and how often it is there."""
        found: Counter[tuple[bytes, int]] = Counter()
        with TopicReader(self.bus, [TOUCHES.name], client_id="test") as reader:
            while not reader.caught_up():
                for message in reader.read(1000, 0.5):
                    assert message.value is not None
                    touch = codec.decode(message.value, SubjectTouch)
                    header = codec.decode(touch.header, TouchHeader)
                    found[header.record_id, header.revision] += 1
        return found


def until(condition: Callable[[], bool], within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def rows(start: int, stop: int) -> str:
    body = "".join(f"R-{n},Ana{n} Ro{n},802-555-{n:04}\n" for n in range(start, stop))
    return f"record_number,name,phone\n{body}"


@pytest.fixture
def service(tmp_path: Path, embedded_broker: KafkaSettings) -> Service:
    return Service(tmp_path, embedded_broker)


def test_the_outside_reports_go_through_the_watched_folder_unattended(
    service: Service, outside_data: Path
):
    paths = sorted((outside_data / "lexs").glob("*.xml"))
    with service.agent() as process:
        for path in paths:
            copyfile(path, service.incoming / path.name)
        service.drop("bad.xml", "<a>")
        until(lambda: service.status()["records"]["published"] == len(paths) == 26)
        process.terminate()
        assert process.wait(30) == 0
    assert len(list((service.incoming / "done").iterdir())) == 26
    assert (service.incoming / "failed" / "bad.xml.reasons.txt").exists()
    assert sorted(service.published().values()) == [1] * 26
    [source] = [each for each in service.status()["sources"] if each["name"] == "rms"]
    assert (source["accepted"], source["rejected"], source["error"]) == (26, 1, "")
    log = (service.folder / "log").read_text("utf-8")
    assert "Traceback" not in log


@pytest.mark.slow
def test_killed_again_and_again_it_loses_no_record_and_numbers_none_twice(service: Service):
    kills, luck = int(os.environ.get("SILENTHIT_KILLS", "8")), random.Random(7)
    records = max(600, 25 * kills // 50 * 50)
    for part in range(0, records, 50):
        service.drop(f"{part}.csv", rows(part, part + 50))
    for _ in range(kills):
        with service.agent() as process:
            time.sleep(luck.uniform(0.8, 2.0))
            process.send_signal(signal.SIGKILL)
            process.wait(10)
    with service.agent():
        until(lambda: service.status()["records"]["published"] == records, within=120)
    published = service.published()
    assert len(published) == records
    assert {revision for _, revision in published} == {1}
    repeats = sum(published.values()) - records
    sys.stdout.write(f"{kills} kills, {records} records, {repeats} sent twice under one id\n")


def test_while_the_broker_is_away_it_keeps_and_reports_then_sends(tmp_path: Path):
    with EmbeddedBroker() as broker:
        bus = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        service = Service(tmp_path, bus)
        config = service.config.read_text("utf-8")
        service.config.write_text(config.replace(bus.bootstrap_servers, "127.0.0.1:1"), "utf-8")
        service.drop("a.csv", rows(0, 5))
        with service.agent():
            until(lambda: sum(service.status()["records"].values()) == 5)
            assert service.status()["records"]["published"] == 0
        service.config.write_text(config, "utf-8")
        with service.agent():
            until(lambda: service.status()["records"]["published"] == 5)
        assert len(service.published()) == 5


def test_a_vendor_pushes_over_http_and_the_records_reach_the_topic(service: Service):
    port = free_port()
    (service.config.parent / "token").write_text("a-token-of-twenty-and-more\n", "utf-8")
    text = service.config.read_text("utf-8")
    intake = f'\n[intake]\nport = {port}\ntoken = "token"\n'
    service.config.write_text(text + intake, "utf-8")
    phone = {"kind": "phone", "value": "802-555-0100"}
    record = {"number": "T-1", "kind": "tip", "subjects": [{"identifiers": [phone]}]}
    with service.agent() as process, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        until(lambda: answers(client))
        bearer = {"Authorization": "Bearer a-token-of-twenty-and-more"}
        assert client.post("/records", json={"records": [record]}).status_code == 401
        answer = client.post("/records", json={"records": [record]}, headers=bearer)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
        until(lambda: service.status()["records"]["published"] == 1)
        assert client.delete("/records/T-1", headers=bearer).status_code == 202
        until(lambda: service.tombstones() == 1)
        process.terminate()
        assert process.wait(30) == 0


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_an_agent_sends_a_canary_and_says_when_the_broker_had_it(service: Service):
    text = service.config.read_text("utf-8")
    port = free_port()
    text = text.replace("canary = false", f"canary = true\nmetrics_port = {port}")
    service.config.write_text(text, "utf-8")
    assert service.status()["canary_confirmed"] is None
    with service.agent():
        until(lambda: service.status()["canary_confirmed"] is not None)
        page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    [line] = [each for each in page.splitlines() if each.startswith("silenthit_agency_canary ")]
    assert abs(float(line.split()[1]) - time.time()) < 120
    assert [revision for _, revision in service.published()] == [1]
