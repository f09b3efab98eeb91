"""What Faust promises, on our transport and Apache Kafka: acks, gaps, pauses, pressure, kills."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from schemas.topics import Bus, Topic
from silenthit.bus.admin import create_topics
from silenthit.bus.clients import KafkaSettings

APP = Path(__file__).with_name("batch_app.py")
PARTITIONS = 3
MODES = pytest.mark.parametrize("mode", [["--batched"], []], ids=["batches", "singly"])


@dataclass
class Place:
    """A topic, the workers on it, and what they wrote down."""

    kafka: KafkaSettings
    folder: Path
    topic: str
    ends: dict[int, int] = field(default_factory=dict)
    produced: set[tuple[int, int]] = field(default_factory=set)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    asking: Consumer | None = None

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        out = self.folder / f"out-{len(self.workers)}"
        command = [sys.executable, str(APP), self.kafka.bootstrap_servers, self.topic, str(out)]
        with out.with_suffix(".log").open("wb") as log:
            worker = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def produce(self, count: int, *, each: int = 0) -> None:
        """Write messages; with `each`, in transactions of so many, whose ends take an offset."""
        more = {"transactional.id": uuid.uuid4().hex} if each else {}
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap_servers, **more})
        if each:
            producer.init_transactions(20)
        for number in range(count):
            if each and number % each == 0:
                producer.begin_transaction()
            value = b"%d" % number * 40
            producer.produce(
                self.topic, value, partition=number % PARTITIONS, on_delivery=self._note
            )
            if each and number % each == each - 1:
                producer.commit_transaction(20)
        assert producer.flush(30) == 0

    def _note(self, error: object, message: object) -> None:
        assert error is None
        partition, offset = message.partition(), message.offset()  # type: ignore[attr-defined]
        self.produced.add((partition, offset))
        self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)

    def seen(self) -> Counter[tuple[int, int]]:
        lines = [
            line.split()
            for out in self.folder.glob("out-?")
            for line in out.read_text(encoding="ascii").splitlines()
        ]
        return Counter((int(partition), int(offset)) for partition, offset in lines)

    def has_begun(self, number: int) -> bool:
        out = self.folder / f"out-{number}"
        return out.exists() and out.stat().st_size > 0

    def wait(self, true: Callable[[], bool]) -> None:
        until = time.monotonic() + 90
        while not true():
            assert time.monotonic() < until, self.logs()
            time.sleep(0.1)

    def committed(self) -> dict[int, int]:
        """What the group has committed, asked by one client: many in a row crash in the library."""
        if self.asking is None:
            about = {
                "bootstrap.servers": self.kafka.bootstrap_servers,
                "group.id": "transport-test",
            }
            self.asking = Consumer(about)
        places = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        with suppress(KafkaException):  # a broker that has just started loads its groups first
            found = self.asking.committed(places, timeout=10)
            return {each.partition: max(each.offset, 0) for each in found}
        return {}

    def wait_until_committed(self) -> None:
        """Wait until the group's offsets are those after the last message of each partition."""
        self.wait(lambda: self.committed() == self.ends)

    def logs(self) -> str:
        return "".join(log.read_text()[-2000:] for log in self.folder.glob("*.log"))

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait(20)
        if self.asking:
            self.asking.close()


@pytest.fixture
def place(fresh_kafka: KafkaSettings, tmp_path: Path) -> Iterator[Place]:
    topic = f"t-{uuid.uuid4().hex[:12]}"
    row = Topic(
        name=topic,
        key="key",
        bus=Bus.AGENCY,
        writers=frozenset(),
        readers=frozenset(),
        partitions=PARTITIONS,
    )
    create_topics(fresh_kafka, [(row, topic)])
    made = Place(fresh_kafka, tmp_path, topic)
    yield made
    made.stop()


@MODES
def test_offsets_that_hold_no_message_are_passed_over_and_committed(
    place: Place, mode: list[str]
) -> None:
    place.produce(300, each=6)
    assert sum(place.ends.values()) > 300
    place.start(*mode, "--pause")
    place.wait_until_committed()
    place.produce(60, each=3)
    place.wait_until_committed()
    assert place.seen() == Counter(place.produced)


def test_the_group_says_whether_an_assignment_stands_and_changes_nothing_by_it(
    place: Place,
) -> None:
    place.produce(30)
    place.start("--members")
    told = place.folder / "out-0.members"
    place.wait(lambda: told.exists() and told.read_text(encoding="ascii") != "")
    assert told.read_text(encoding="ascii") == "True False True"
    place.wait_until_committed()
    assert place.seen() == Counter(place.produced)


@pytest.mark.slow
@MODES
def test_a_worker_that_waits_takes_no_more_than_its_buffers_and_loses_nothing(
    place: Place, mode: list[str]
) -> None:
    hold = place.folder / "go"
    place.produce(9_000)
    worker = place.start(*mode, "--hold", str(hold))
    place.wait((place.folder / "out-0.waits").exists)
    time.sleep(3)  # for what it would take too much of
    assert worker.poll() is None
    assert not place.seen()
    assert not any(place.committed().values())
    hold.touch()
    place.wait_until_committed()
    assert place.seen() == Counter(place.produced)


@pytest.mark.slow
@MODES
def test_nothing_is_lost_when_workers_are_killed_and_others_come(
    place: Place, mode: list[str]
) -> None:
    for _ in range(2):
        place.start(*mode)
    for number in range(3):
        place.produce(3_000)
        before = len(place.seen())
        place.wait(lambda before=before: len(place.seen()) > before)
        place.workers[number].kill()
        place.start(*mode)
        place.produce(3_000)
    place.wait_until_committed()
    assert set(place.seen()) == place.produced


@pytest.mark.slow
@MODES
def test_nothing_is_processed_twice_when_workers_come_and_are_stopped(
    place: Place, mode: list[str]
) -> None:
    slowly = "--commit-every", "30"
    place.start(*mode, *slowly)
    for number in range(1, 4):
        place.start(*mode, *slowly)
        while not place.has_begun(number):
            place.produce(300)
            time.sleep(0.1)
        place.workers[number - 1].terminate()
        place.produce(1_500)
    place.wait(lambda: set(place.seen()) == place.produced)
    assert place.seen() == Counter(place.produced)
