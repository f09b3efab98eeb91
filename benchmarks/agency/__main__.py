"""The agency's edge, end to end: LEXS files → outbox → tokens → seal → confirmed by the broker.

make bench-agency      a table on standard error, one JSON object as the last line of output

A record is an incident report of agency/records.py. On Apache Kafka where java and the jars are
there, else on the embedded broker; with `LocalKey`. `prf_share` is the part of the whole that the
key holder's function takes by itself: at least half of it, when nothing else is slow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # run as a directory, Python would look for modules in it

from benchmarks.agency.records import incident_reports  # noqa: E402
from producers import touch  # noqa: E402
from producers.agent import spare_collector  # noqa: E402
from producers.intake import Intake  # noqa: E402
from producers.narrative import with_narrative  # noqa: E402
from producers.outbox import Outbox  # noqa: E402
from producers.publisher import Dispatcher  # noqa: E402
from producers.sharing import SharingPolicy  # noqa: E402
from producers.sources.lexs import read_bytes  # noqa: E402
from schemas.topics import TOUCHES  # noqa: E402
from silenthit.blinding.epoch_secrets import EpochSecrets  # noqa: E402
from silenthit.blinding.prf import LocalKey, Token  # noqa: E402
from silenthit.blinding.sealing import Signer  # noqa: E402
from silenthit.bus.admin import create_topics, wait_until_ready  # noqa: E402
from silenthit.bus.clients import KafkaSettings, Publisher  # noqa: E402
from silenthit.bus.embedded import EmbeddedBroker  # noqa: E402
from silenthit.bus.sender import SenderKey  # noqa: E402
from silenthit.identity.match_keys import MatchKey  # noqa: E402

RECORDS = 2_000
WARM_UP = 20  # tables of names are read when first asked for
LAUNCHER = ROOT / "deploy" / "kafka" / "kafka.py"
SENDER = SenderKey("VT0040100#1", b"s" * 32)

T = TypeVar("T")


class Stopwatch:
    """Seconds by stage, wall and processor time; an inner stage stops the outer."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.cpu: Counter[str] = Counter()
        self._open: list[str] = []
        self._since = (time.perf_counter(), time.thread_time())

    def stage(self, name: str, call: Callable[..., T]) -> Callable[..., T]:
        def timing(*args: Any, **more: Any) -> T:
            self._turn()
            self._open.append(name)
            try:
                return call(*args, **more)
            finally:
                self._turn()
                self._open.pop()

        return timing

    def _turn(self) -> None:
        now = (time.perf_counter(), time.thread_time())
        if self._open:
            self.wall[self._open[-1]] += now[0] - self._since[0]  # type: ignore[assignment]
            self.cpu[self._open[-1]] += now[1] - self._since[1]  # type: ignore[assignment]
        self._since = now


@contextmanager
def broker() -> Iterator[tuple[str, KafkaSettings]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(LAUNCHER)]
        started = subprocess.run(
            [*command, "start", "--dir", folder], capture_output=True, text=True, check=False
        )
        if started.returncode:
            with EmbeddedBroker() as embedded:
                yield "embedded", KafkaSettings(bootstrap_servers=embedded.bootstrap_servers)
            return
        try:
            address = json.loads(started.stdout)["bootstrap"]["CLIENT"]
            yield "Apache Kafka", KafkaSettings(bootstrap_servers=address)
        finally:
            subprocess.run([*command, "stop", "--dir", folder], check=True)


def run(bus: KafkaSettings, folder: Path, documents: Sequence[bytes]) -> tuple[Stopwatch, int]:
    """Take and publish every record; return the time by stage and the number of tokens."""
    watch, asked = Stopwatch(), list[int]()
    outbox = Outbox(folder / "outbox.db", os.urandom(32))
    for name in ("accept", "drafts", "sealed", "outgoing", "finished"):
        setattr(outbox, name, watch.stage("outbox", getattr(outbox, name)))
    prf = LocalKey([EpochSecrets.generate(epoch=1)])

    class Timed:
        def tokens(self, epoch: int, keys: Sequence[MatchKey]) -> list[Token]:
            asked.append(len(keys))
            return watch.stage("prf", prf.tokens)(epoch, keys)

    sealer = touch.Sealer(
        prf=Timed(), current_epoch=lambda: 1, sender=SENDER.key_id, ori="VT0040100", agency="PD",
        signer=Signer(SENDER.key_id, Ed25519PrivateKey.generate()), policy=SharingPolicy(),
    )  # fmt: skip
    intake = Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)
    touch.with_narrative = watch.stage("narrative", with_narrative)
    parse = watch.stage("parse", lambda data: list(read_bytes(data, "x", UTC)))
    outcomes = (each for data in documents for each in parse(data))
    rejected: list[object] = []
    with Publisher(bus, client_id="bench") as publisher:
        publisher.send = watch.stage("send", publisher.send)  # type: ignore[method-assign]
        dispatcher = Dispatcher(outbox=outbox, sealer=sealer, bus=publisher, sender=SENDER)
        tally = watch.stage("match keys", intake.take)(outcomes, rejected.append)
        sent = watch.stage("seal, confirm", dispatcher.publish)().confirmed
    outbox.close()
    assert tally.new == sent == len(documents), (tally, sent)
    return watch, sum(asked)


def main() -> None:
    with broker() as (kind, bus), tempfile.TemporaryDirectory() as folder:
        wait_until_ready(bus)
        create_topics(bus, [(TOUCHES, TOUCHES.name)])
        documents = list(incident_reports(WARM_UP + RECORDS))
        (Path(folder) / "warm").mkdir()
        run(bus, Path(folder) / "warm", documents[:WARM_UP])
        spare_collector()
        watch, tokens = run(bus, Path(folder), documents[WARM_UP:])
    wall, cpu = sum(watch.wall.values()), sum(watch.cpu.values())
    print(
        f"{RECORDS} LEXS incident reports, {tokens / RECORDS:.1f} tokens each, {kind}",
        file=sys.stderr,
    )
    for name, seconds in watch.wall.most_common():
        micro = seconds / RECORDS * 1e6
        print(f"{name:<14} {micro:>8.0f} us  {seconds / wall:>6.1%}", file=sys.stderr)
    print(f"{'together':<14} {wall / RECORDS * 1e6:>8.0f} us", file=sys.stderr)
    result = {
        "records_per_s": round(RECORDS / wall, 1),
        "records_per_core_s": round(RECORDS / cpu, 1),
        "stages": {name: round(each / wall, 4) for name, each in watch.wall.items()},
        "prf_share": round(watch.wall["prf"] / wall, 4),
        "prf_share_of_core": round(watch.cpu["prf"] / cpu, 4),
        "tokens_per_record": round(tokens / RECORDS, 1),
        "broker": kind,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
