"""Apache Kafka and Redis of the benchmark's own, filled with what it needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from benchmarks.match import made
from schemas.topics import ALERTS, SENT, TOPICS, TOUCHES, WATCHES, Topic
from silenthit.bus.admin import create_topics
from silenthit.bus.clients import KafkaSettings
from silenthit.bus.sender import Headers, SenderKey
from stream_processors.settings import ExchangeSettings

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "deploy" / "kafka" / "kafka.py"
AFRESH = (TOUCHES.name, SENT.name, ALERTS.of(made.PARTNER))


@dataclass(frozen=True, kw_only=True, slots=True)
class Town:
    """The services, and the exchange's configuration."""

    folder: Path
    kafka: KafkaSettings
    redis: str

    def settings(self, group: str) -> ExchangeSettings:
        """Return the configuration of workers of one consumer group."""
        return ExchangeSettings.model_validate(
            {
                "name": group,
                "bus": {"agency": self.kafka.model_dump(), "partner": self.kafka.model_dump()},
                "redis": self.redis,
                "organisations": self.folder / "organisations.json",
                "data": self.folder / "data",
                "watch_keys": self.folder / "watches",
            }
        )

    def enrol(self, senders: Sequence[SenderKey]) -> None:
        """Make these the agencies, and one partner beside them."""
        agencies = [{"key_id": each.key_id, "secret": each.secret.hex()} for each in senders]
        (self.folder / "organisations.json").write_text(
            json.dumps({"agencies": agencies, "partners": [made.PARTNER]}), encoding="utf-8"
        )

    def empty_redis(self) -> None:
        """Forget every pointer."""
        with Redis.from_url(self.redis) as client:
            client.flushall()

    def publish(
        self, topic: str, messages: Iterable[tuple[bytes, bytes, Headers]], partition: int = -1
    ) -> int:
        """Write messages; return how many, confirmed."""
        producer = Producer(
            {
                "bootstrap.servers": self.kafka.bootstrap_servers,
                "linger.ms": 20,
                "batch.size": 900_000,
                "acks": "all",
                "partitioner": "murmur2_random",
            }
        )
        count = 0
        for key, value, headers in messages:
            while True:
                try:
                    producer.produce(topic, value, key, partition, headers=list(headers))
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
        if producer.flush(120):
            raise SystemExit("expected every message confirmed within two minutes")
        return count


@contextmanager
def town(folder: Path) -> Iterator[Town]:
    """Start Kafka and Redis, make the topics, enrol one agency and one partner."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    started = subprocess.run(
        [sys.executable, str(LAUNCHER), "start", "--dir", str(folder / "kafka"), "--jvm", "server"],
        capture_output=True,
        text=True,
        check=False,
    )
    if started.returncode:
        raise SystemExit(f"Kafka did not start; run `make services`\n{started.stderr}")
    kafka = KafkaSettings(bootstrap_servers=json.loads(started.stdout)["bootstrap"]["CLIENT"])
    port = 20_000 + os.getpid() % 10_000
    redis = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    made_town = Town(folder=folder, kafka=kafka, redis=f"redis://127.0.0.1:{port}/0")
    try:
        wait_for(lambda: _answers(made_town.redis), 10)
        _set_up(made_town)
        yield made_town
    finally:
        redis.terminate()
        redis.wait(10)
        subprocess.run(
            [sys.executable, str(LAUNCHER), "stop", "--dir", str(folder / "kafka")], check=True
        )
        shutil.rmtree(folder, ignore_errors=True)


def _set_up(made_town: Town) -> None:
    topics: list[tuple[Topic, str]] = [
        (each, each.name) for each in TOPICS if "{org}" not in each.name
    ]
    topics += [(each, each.of(made.PARTNER)) for each in (WATCHES, ALERTS)]
    create_topics(made_town.kafka, topics)
    (made_town.folder / "watches").mkdir()
    watch_key = made.WATCH_KEY.private_bytes_raw().hex()
    (made_town.folder / "watches" / "0001.key").write_text(watch_key, encoding="ascii")
    made_town.enrol([made.SENDER])


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url) as client:
            return bool(client.ping())
    except RedisConnectionError:
        return False


def wait_for(true: Callable[[], bool], seconds: float) -> None:
    """Wait until it is so."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"expected it within {seconds:g} s")
        time.sleep(0.02)
