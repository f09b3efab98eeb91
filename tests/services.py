"""The services that tests run against, each started by the tests and stopped after them.

A service that this machine does not have skips the test, and fails it when CI=true.
"""

from __future__ import annotations

import json
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from schemas.topics import Bus, Topic
from silenthit.bus.admin import create_topics, wait_until_ready
from silenthit.bus.clients import KafkaSettings
from silenthit.bus.embedded import EmbeddedBroker

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = ROOT / "deploy" / "kafka" / "kafka.py"
JARS = ROOT / "deploy" / "kafka" / "target" / "jars"
SLOTS = 16_384  # of a Redis cluster


def missing(what: str, remedy: str) -> None:
    """Skip the test on a laptop; fail it in CI, where nothing may go untested."""
    text = f"expected {what}, got none; run: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, nor will a client's connection take."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def start_kafka(folder: Path, *options: str) -> dict[str, str]:
    """Start Apache Kafka from a folder; return its bootstrap addresses by listener."""
    if shutil.which("java") is None:
        missing("java", "apt-get install -y --no-install-recommends default-jre-headless")
    if not list(JARS.glob("kafka-server-*.jar")):
        missing("Kafka's jars", "mvn -B -f deploy/kafka/pom.xml package")
    command = [sys.executable, str(LAUNCHER), "start", "--dir", str(folder), *options]
    started = subprocess.run(command, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    addresses: dict[str, str] = json.loads(started.stdout)["bootstrap"]
    return addresses


def stop_kafka(folder: Path) -> None:
    """Stop the brokers started from a folder."""
    subprocess.run([sys.executable, str(LAUNCHER), "stop", "--dir", str(folder)], check=True)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Apache Kafka, one broker for the whole session."""
    folder = tmp_path_factory.mktemp("kafka")
    addresses = start_kafka(folder)
    try:
        yield KafkaSettings(bootstrap_servers=addresses["CLIENT"])
    finally:
        stop_kafka(folder)


@pytest.fixture
def fresh_kafka(tmp_path: Path) -> Iterator[KafkaSettings]:
    """Apache Kafka for one test alone, where topics have their real names (2.5 s)."""
    folder = tmp_path / "kafka"
    addresses = start_kafka(folder)
    try:
        yield KafkaSettings(bootstrap_servers=addresses["CLIENT"])
    finally:
        stop_kafka(folder)


@pytest.fixture(scope="module")
def module_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """Apache Kafka for one module of tests, where topics have their real names."""
    folder = tmp_path_factory.mktemp("kafka")
    addresses = start_kafka(folder)
    try:
        yield KafkaSettings(bootstrap_servers=addresses["CLIENT"])
    finally:
        stop_kafka(folder)


@pytest.fixture
def embedded_broker() -> Iterator[KafkaSettings]:
    """The embedded broker, empty."""
    with EmbeddedBroker() as broker:
        yield KafkaSettings(bootstrap_servers=broker.bootstrap_servers)


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.kafka)])
def bus(request: pytest.FixtureRequest) -> KafkaSettings:
    """Each kind of broker in turn."""
    fixture = {"embedded": "embedded_broker", "apache": "kafka"}[request.param]
    settings: KafkaSettings = request.getfixturevalue(fixture)
    wait_until_ready(settings)
    return settings


@pytest.fixture
def fresh_topic(bus: KafkaSettings) -> Callable[..., str]:
    """Return a function that creates a topic of its own name on `bus`, by default of 1 partition.

    The embedded broker makes four of them whatever is asked.
    """

    def create(partitions: int = 1, **config: str) -> str:
        name = f"t-{uuid.uuid4().hex[:12]}"
        row = Topic(
            name=name,
            key="key",
            bus=Bus.AGENCY,
            writers=frozenset(),
            readers=frozenset(),
            partitions=partitions,
            config={key.replace("_", "."): value for key, value in config.items()},
        )
        create_topics(bus, [(row, name)])
        return name

    return create


@contextmanager
def run_redis(folder: Path, *options: str) -> Iterator[int]:
    """Run Redis on a free port, nothing written to disk; yields the port."""
    program = shutil.which("redis-server")
    if program is None:
        missing("redis-server", "apt-get install -y --no-install-recommends redis-server")
    assert program is not None
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (folder / f"log-{port}").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--dir", str(folder), *options], stdout=log, stderr=log
        )
    try:
        retry = Retry(ConstantBackoff(0.02), 500, supported_errors=(RedisConnectionError,))
        with Redis(port=port, retry=retry) as client:
            client.ping()
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def session_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Redis for the whole session."""
    with run_redis(tmp_path_factory.mktemp("redis")) as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def redis_server(session_redis: str) -> str:
    """Address of a Redis that holds nothing of another module: its checkpoints are of its Kafka."""
    with Redis.from_url(session_redis) as client:
        client.flushall()
    return session_redis


@pytest.fixture(scope="session")
def redis_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Three nodes of a Redis cluster, by port; the slots are shared out evenly."""
    folder = tmp_path_factory.mktemp("redis-cluster")
    with ExitStack() as running:
        ports = []
        for number in range(3):
            own = ("--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{number}.conf")
            bus = ("--cluster-port", str(free_port()))
            ports.append(running.enter_context(run_redis(folder, *own, *bus)))
        clients = [running.enter_context(Redis(port=port)) for port in ports]
        buses = [client.config_get("cluster-port")["cluster-port"] for client in clients]
        share = -(-SLOTS // len(ports))
        for number, client in enumerate(clients):
            start, end = number * share, min(SLOTS, (number + 1) * share) - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", start, end)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port, bus_port in zip(ports[1:], buses[1:], strict=True):
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus_port)
        until = time.monotonic() + 30
        while not all(_is_whole(client, len(ports)) for client in clients):
            assert time.monotonic() < until, "expected a whole cluster within 30 s"
            time.sleep(0.05)
        yield ports


def _is_whole(client: Redis, nodes: int) -> bool:
    told = client.execute_command("CLUSTER", "INFO").decode().split()
    return {"cluster_state:ok", f"cluster_known_nodes:{nodes}"} <= set(told)


@pytest.fixture
def redis_cluster_url(redis_nodes: list[int]) -> str:
    """Address of a Redis cluster that holds nothing."""
    for port in redis_nodes:
        with Redis(port=port) as client:
            client.flushall()
    return f"redis+cluster://127.0.0.1:{redis_nodes[0]}"


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """Address of a Redis that holds nothing."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


def _postgresql_programs() -> Path:
    found = shutil.which("pg_ctl") or next(
        (str(each) for each in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), None
    )
    if found is None:
        missing("PostgreSQL", "apt-get install -y --no-install-recommends postgresql")
    assert found is not None
    return Path(found).parent


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """PostgreSQL on a free port: where its databases are. It refuses root; its own user runs it."""
    programs, port = _postgresql_programs(), free_port()
    as_root = os.geteuid() == 0
    user = "postgres" if as_root else pwd.getpwuid(os.geteuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="silenthit-postgresql-"))
    if as_root:
        shutil.chown(folder, user)

    def call(program: str, *words: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *words]
        subprocess.run(
            command, check=True, capture_output=True, cwd=folder, user=user if as_root else None
        )

    call("initdb", "--auth=trust", "--username=silenthit", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", f"{options} -c fsync=off", "start")
    try:
        yield f"postgresql://silenthit@127.0.0.1:{port}"
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture
def postgres_url(postgresql_server: str) -> str:
    """A SQLAlchemy URL of a fresh, empty database."""
    import psycopg

    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as db:
        db.execute(f'CREATE DATABASE "{name}"')
    return f"{postgresql_server.replace('postgresql:', 'postgresql+psycopg:')}/{name}"


@pytest.fixture(scope="session")
def outside_data() -> Path:
    """Folder of the data from outside the repository; SILENTHIT_OUTSIDE_DATA names another."""
    folder = Path(os.environ.get("SILENTHIT_OUTSIDE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        missing("the outside data", "SILENTHIT_OUTSIDE_DATA=<its folder> make test")
    return folder
