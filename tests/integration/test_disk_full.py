"""A full disk under the outbox: refused clearly, nothing kept is lost, and it goes on by itself."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from producers.agent import Agent
from producers.intake import Intake, Take, Tally
from producers.ledger import Ledger
from producers.outbox import Outbox
from producers.publisher import Dispatcher
from producers.records import Record
from producers.sharing import SharingPolicy
from producers.sources.folder import Folder
from producers.sources.mapping import ColumnMapping
from producers.touch import Sealer
from schemas.parts import Identifier, Subject
from schemas.vocabulary import IdentifierKind, TouchKind
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.prf import LocalKey
from silenthit.blinding.sealing import Signer
from silenthit.bus.clients import Delivered
from silenthit.bus.sender import SenderKey
from silenthit.errors import RetryError
from tests.town import wait_until

_BLOCK = 4096


class Disk:
    """A disk of four megabytes, where one can be made here; else a limit on files' sizes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
        made = subprocess.run(mount, capture_output=True, check=False)
        self.mounted = made.returncode == 0
        if not self.mounted:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(self) -> None:
        """Leave no room."""
        if self.mounted:
            with self._ballast.open("wb", buffering=0) as file:
                while shutil.disk_usage(self.path).free >= _BLOCK:
                    file.write(bytes(_BLOCK))
            return
        largest = max(each.stat().st_size for each in self.path.glob("outbox.db*"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, self._before[1]))

    def clear(self) -> None:
        """Make room again."""
        if self.mounted:
            self._ballast.unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)

    def gone(self) -> None:
        self.clear()
        if self.mounted:
            subprocess.run(["umount", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "disk").mkdir()
    made = Disk(tmp_path / "disk")
    yield made
    made.gone()


@pytest.fixture
def outbox(disk: Disk) -> Iterator[Outbox]:
    box = Outbox(disk.path / "outbox.db", b"k" * 32)
    yield box
    box.close()


class Bus:
    """A broker that confirms everything."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, topic: str, key: bytes, value: bytes | None, **_: object) -> Future[Delivered]:
        self.sent.append(key)
        future: Future[Delivered] = Future()
        future.set_result(Delivered(topic, 0, len(self.sent), 0))
        return future


def intake(outbox: Outbox) -> Intake:
    return Intake(outbox=outbox, record_secret=b"r" * 32, area_code="", retention_years=5)


def dispatcher(outbox: Outbox, bus: Bus) -> Dispatcher:
    sealer = Sealer(
        prf=LocalKey([EpochSecrets.generate(epoch=1)]),
        current_epoch=lambda: 1,
        sender="VT0040100#1",
        signer=Signer("VT0040100#1", Ed25519PrivateKey.generate()),
        ori="VT0040100",
        agency="PD",
        policy=SharingPolicy(),
    )
    return Dispatcher(
        outbox=outbox, sealer=sealer, bus=bus, sender=SenderKey("VT0040100#1", b"s" * 32)
    )


def records(first: int, count: int) -> list[Record]:
    return [
        Record(
            number=f"R-{number}",
            kind=TouchKind.TIP,
            subjects=(
                Subject(
                    identifiers=(
                        Identifier(kind=IdentifierKind.PHONE, value=f"802-555-{number:04}"),
                    )
                ),
            ),
            narrative="x" * 2000,
        )
        for number in range(first, first + count)
    ]


def test_a_record_that_does_not_fit_is_refused_and_what_is_kept_goes_out_when_there_is_room(
    disk: Disk, outbox: Outbox
) -> None:
    taken = Tally()

    def more(times: int) -> None:
        for _ in range(times):
            numbers = records(taken.new, 10)
            taken.new += intake(outbox).take(numbers, print).new

    more(1)
    disk.fill()
    with pytest.raises(RetryError, match="free disk space"):
        more(100)  # what the journal has room for is taken yet
    kept = taken.new
    assert outbox.counts()["accepted"] == kept
    with pytest.raises(RetryError, match="free disk space"):
        dispatcher(outbox, Bus()).publish()
    assert sum(outbox.counts().values()) == kept
    disk.clear()
    again = [each for number in range(0, kept, 10) for each in records(number, 10)]
    tally = intake(outbox).take([*again, *records(kept, 10)], print)
    assert (tally.unchanged, tally.new) == (kept, 10)
    bus = Bus()
    assert dispatcher(outbox, bus).publish().confirmed == kept + 10
    assert len(set(bus.sent)) == len(bus.sent) == kept + 10


def test_an_agent_on_a_full_disk_waits_and_takes_the_file_once_there_is_room(
    disk: Disk, outbox: Outbox, tmp_path: Path
) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    ledger, bus = Ledger(disk.path / "outbox.db"), Bus()
    refused = threading.Event()

    class Watched(Folder):
        def poll(self, take: Take, stopped: Callable[[], bool] = lambda: False) -> Tally:
            try:
                return Folder.poll(self, take, stopped)
            except RetryError:
                refused.set()
                raise

    source = Watched(name="rms", every_s=0.05, path=incoming, mapping=ColumnMapping(), timezone=UTC)
    agent = Agent(
        outbox=outbox,
        intake=intake(outbox),
        dispatcher=dispatcher(outbox, bus),
        ledger=ledger,
        canary_id=b"c" * 16,
        sources=(source,),
    )
    rows = "".join(f"R-{n},Ana Ro,802-555-{n:04},{os.urandom(900).hex()}\n" for n in range(40))
    (incoming / "a.csv").write_text(f"record_number,name,phone,narrative\n{rows}", "utf-8")
    disk.fill()
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        assert refused.wait(30)
        assert (incoming / "working" / "a.csv").exists()
        disk.clear()
        wait_until((incoming / "done" / "a.csv").exists, "the file to be taken")
        wait_until(lambda: outbox.counts()["published"] == 40, "all of it to be published")
        assert thread.is_alive()
    finally:
        agent.stop()
        thread.join()
        ledger.close()
    assert len(set(bus.sent)) == 40
