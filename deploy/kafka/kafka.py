#!/usr/bin/env python3
"""Run Apache Kafka (KRaft mode) from the jars that pom.xml fetches: start, stop, status.

    mvn -f deploy/kafka/pom.xml package
    deploy/kafka/kafka.py start --dir run/kafka [--brokers 3] [--listener AGENCY --listener PARTNER]
    deploy/kafka/kafka.py stop --dir run/kafka

Every node is broker and controller, on free ports of 127.0.0.1. `start` returns once all brokers
take part, and prints one JSON object: {"bootstrap": {listener: "host:port,…"}, "pids": […]}.
Needs nothing but Python and Java 17 or later.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
JARS = HERE / "target" / "jars"
HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
READY_S = 90.0
STOP_S = 20.0
POLL_S = 0.05
CONTROLLER, INTERNAL = "CONTROLLER", "INTERNAL"
JAVA_OPTIONS = {
    "small": (
        "-Xms64m",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
    ),
    # What Kafka's own start script gives a broker.
    "server": (
        "-Xms1g",
        "-Xmx1g",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:InitiatingHeapOccupancyPercent=35",
        "-XX:+ExplicitGCInvokesConcurrent",
    ),
}


def java(*arguments: str, jvm: str = "small") -> list[str]:
    """Return the command that runs a class of Kafka's."""
    program = shutil.which("java")
    if program is None:
        sys.exit("expected java 17 or later on the PATH, got none; run deploy/install-services")
    if not list(JARS.glob("kafka-server-*.jar")):
        sys.exit(f"expected Kafka's jars, got none; run `mvn -B -f {HERE / 'pom.xml'} package`")
    log = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
    return [program, *JAVA_OPTIONS[jvm], log, "-cp", f"{JARS}/*", *arguments]


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on.

    None is of the range that the system hands out itself: a client's connection could take such a
    one before the broker listens.
    """
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            one, port = held.enter_context(socket.socket()), random.choice(PORTS)
            try:
                one.bind((HOST, port))
            except OSError:
                continue
            found.append(port)
        return found


def properties(
    node: int,
    ports: Sequence[Mapping[str, int]],
    protocols: Mapping[str, str],
    log_dir: Path,
    more: Mapping[str, str],
) -> str:
    """Return the server.properties of one node."""
    replicas = str(min(3, len(ports)))
    voters = ",".join(f"{i}@{HOST}:{p[CONTROLLER]}" for i, p in enumerate(ports, 1))
    mine = ports[node - 1]
    settings = {
        "node.id": str(node),
        "process.roles": "broker,controller",
        "controller.quorum.voters": voters,
        "controller.listener.names": CONTROLLER,
        "inter.broker.listener.name": INTERNAL,
        "listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in mine.items()),
        "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
        "log.dirs": str(log_dir),
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": str(max(1, int(replicas) - 1)),
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": "8388608",
        **more,
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def brokers_known(port: int) -> int:
    """Ask a broker (Metadata request, version 1, no topics) how many take part; 0 if not ready."""
    request = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0)
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.makefile("rb")
            answer.read(8)  # length and correlation id
            return int(struct.unpack(">i", answer.read(4))[0])
    except (OSError, struct.error):
        return 0


def is_ours(pid: int, configuration: Path) -> bool:
    """Whether the process still runs and was started with this configuration."""
    command = Path(f"/proc/{pid}/cmdline")
    if command.parent.parent.joinpath("self").exists():
        try:
            return str(configuration).encode() in command.read_bytes().split(b"\0")
        except OSError:
            return False
    ps = subprocess.run(  # where there is no /proc
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(configuration) in ps.stdout


def running(folder: Path) -> list[tuple[int, Path]]:
    """Return the nodes that run: process id and configuration."""
    nodes = [(path, path.with_name("pid")) for path in folder.glob("node-*/server.properties")]
    found = [(int(pid.read_text()), path) for path, pid in nodes if pid.exists()]
    return [(pid, path) for pid, path in found if is_ours(pid, path)]


def fail(folder: Path, reason: str) -> None:
    """Stop what runs and end with the last lines of each log."""
    stop(folder)
    for log in sorted(folder.glob("node-*/server.log")):
        lines = log.read_text(errors="replace").splitlines()[-15:]
        print(f"--- {log}", *lines, sep="\n", file=sys.stderr)
    sys.exit(reason)


def configure(folder: Path, arguments: argparse.Namespace) -> list[dict[str, int]]:
    """Write every node's configuration; return its ports by listener.

    A folder that was started before keeps its ports, so that clients find a broker again.
    """
    asked = dict([*one.split(":", 1), "PLAINTEXT"][:2] for one in arguments.listener)
    protocols = {CONTROLLER: "PLAINTEXT", INTERNAL: "PLAINTEXT", **asked}
    known = folder / "ports.json"
    ports: list[dict[str, int]] = json.loads(known.read_text()) if known.exists() else []
    if [list(one) for one in ports] != [list(protocols)] * arguments.brokers:
        numbers = iter(free_ports(len(protocols) * arguments.brokers))
        ports = [{name: next(numbers) for name in protocols} for _ in range(arguments.brokers)]
    more = dict(one.split("=", 1) for one in arguments.config)
    for node in range(1, arguments.brokers + 1):
        home = folder / f"node-{node}"
        home.mkdir(parents=True, exist_ok=True)
        text = properties(node, ports, protocols, home / "log", more)
        (home / "server.properties").write_text(text)
    known.write_text(json.dumps(ports))
    return ports


def launch(folder: Path, count: int, jvm: str) -> list[subprocess.Popen[bytes]]:
    """Format each node's log folder where that was not done yet; start the nodes that are down."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    processes = []
    up = {configuration.parent.name for _, configuration in running(folder)}
    for node in (node for node in range(1, count + 1) if f"node-{node}" not in up):
        home = folder / f"node-{node}"
        configuration = str(home / "server.properties")
        with (home / "server.log").open("ab") as log:
            if not (home / "log" / "meta.properties").exists():
                form = (
                    "kafka.tools.StorageTool",
                    "format",
                    f"--cluster-id={cluster}",
                    "-c",
                    configuration,
                )
                if subprocess.run(java(*form), stdout=log, stderr=log, check=False).returncode:
                    fail(folder, "expected the log folder formatted, got the error above")
            process = subprocess.Popen(
                java("kafka.Kafka", configuration, jvm=jvm),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (home / "pid").write_text(str(process.pid))
        processes.append(process)
    return processes


def start(folder: Path, arguments: argparse.Namespace) -> None:
    """Start the brokers that are down, and wait until all take part."""
    ports = configure(folder, arguments)
    processes = launch(folder, arguments.brokers, arguments.jvm)
    deadline = time.monotonic() + READY_S
    while any(brokers_known(one[INTERNAL]) < arguments.brokers for one in ports):
        if any(process.poll() is not None for process in processes):
            fail(folder, "expected the broker to run, got its end; see the log above")
        if time.monotonic() > deadline:
            fail(folder, f"expected the brokers ready within {READY_S:g} s; see the log above")
        time.sleep(POLL_S)
    bootstrap = {
        name: ",".join(f"{HOST}:{one[name]}" for one in ports)
        for name in ports[0]
        if name not in (CONTROLLER, INTERNAL)
    }
    state = {"bootstrap": bootstrap, "pids": sorted(pid for pid, _ in running(folder))}
    (folder / "cluster.json").write_text(json.dumps(state))
    print(json.dumps(state))


def stop(folder: Path) -> None:
    """End the brokers that were started from this folder, by process id; what they hold stays."""
    deadline = time.monotonic() + STOP_S
    for pid, _ in running(folder):
        os.kill(pid, signal.SIGTERM)
    while (left := running(folder)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for pid, _ in left:
        os.kill(pid, signal.SIGKILL)


def status(folder: Path) -> None:
    """Print what runs; exit 1 when nothing does."""
    pids = [pid for pid, _ in running(folder)]
    state = folder / "cluster.json"
    known = json.loads(state.read_text()) if state.exists() else {"bootstrap": {}}
    print(json.dumps({**known, "pids": pids}))
    sys.exit(0 if pids else 1)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["start", "stop", "status"])
    parser.add_argument("--dir", type=Path, required=True, help="configuration, data, logs, pids")
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--listener", action="append", metavar="NAME[:PROTOCOL]", help="repeatable")
    parser.add_argument("--config", action="append", metavar="KEY=VALUE", default=[])
    parser.add_argument(
        "--jvm",
        choices=list(JAVA_OPTIONS),
        default="small",
        help="small: starts quickly; server: as Kafka's own script has it, to measure",
    )
    arguments = parser.parse_args()
    arguments.listener = arguments.listener or ["CLIENT"]
    folder = arguments.dir.resolve()
    if arguments.action == "start":
        start(folder, arguments)
    else:
        {"stop": stop, "status": status}[arguments.action](folder)


if __name__ == "__main__":
    main()
