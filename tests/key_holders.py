"""Key holders that tests ask: one in this process without a network, and one as a real process."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from copy import copy
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from key_holder.custody import FileCustody
from schemas.vocabulary import MatchKeyKind
from silenthit.blinding.access import BlindingSettings, load_bundle, open_client
from silenthit.blinding.batches import Batch, decode_request, elements, encode_answer
from silenthit.blinding.epoch_document import (
    EpochDocument,
    EpochEntry,
    signed_document,
    verified_document,
)
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.epochs import EpochState
from silenthit.blinding.holder_link import HolderLink, Patience
from silenthit.blinding.key_holder_client import KeyHolderClient
from silenthit.identity.match_keys import MatchKey

ROOT = Path(__file__).resolve().parent.parent
PLENTY = "{ per_minute = 100000000, per_day = 1000000000 }"


def match_keys(count: int, salt: str = "") -> list[MatchKey]:
    """Invented match keys of both classes in use."""
    kinds = (MatchKeyKind.SSN, MatchKeyKind.PHONE, MatchKeyKind.FULL_NAME)
    return [MatchKey(kinds[i % 3], f"invented {salt} {i}") for i in range(count)]


class NearbyHolder(HolderLink):
    """A key holder without a network; `tamper` changes its answers on the way."""

    def __init__(
        self,
        folder: Path,
        secrets: Sequence[EpochSecrets],
        *,
        name: str = "nearby",
        tamper: Callable[[Batch], Batch] = lambda answer: answer,
    ) -> None:
        self._custody = FileCustody(folder)
        for each in secrets:
            self._custody.keep(each)
        self._signer = Ed25519PrivateKey.generate()
        self.states = {each.epoch: EpochState.CURRENT for each in secrets}
        self.tamper = tamper
        self.asked: list[bytes] = []
        self.version = 1
        super().__init__(
            name=name,
            url="https://nowhere.invalid",
            ca=folder,
            certificate=folder,
            key=folder,
            signer=self._signer.public_key().public_bytes_raw(),
        )

    def document(self, *, fresh: bool = False) -> EpochDocument:
        entries = {
            epoch: EpochEntry(
                state=state,
                public_keys={}
                if state is EpochState.DESTROYED
                else self._custody.public_keys(epoch),
            )
            for epoch, state in self.states.items()
        }
        document = EpochDocument(
            holder=self.name, version=self.version, issued_at=datetime.now(UTC), epochs=entries
        )
        return verified_document(signed_document(document, self._signer), self.signer)

    def evaluate(self, body: Callable[[], bytes]) -> bytes:
        self.send(body())
        return self.receive()

    def send(self, body: bytes) -> None:
        self.asked.append(body)

    def receive(self) -> bytes:
        batch = decode_request(self.asked[-1])
        outputs = {
            of: self._custody.evaluate(batch.epoch, of, elements(section))
            for of, section in batch.sections.items()
        }
        answer = Batch(epoch=batch.epoch, batch_id=batch.batch_id, sections=outputs)
        return encode_answer(self.tamper(answer))


def run(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `silenthit keyholder …` as a process."""
    return subprocess.run(
        [sys.executable, "-m", "silenthit", "keyholder", *map(str, arguments)],
        check=check,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


class HolderProcess:
    """A key holder in a folder of its own, served by its command."""

    def __init__(self, folder: Path, *, name: str = "federal", secrets: Path | None = None) -> None:
        self.folder = folder
        self.config = folder / "keyholder.toml"
        given = ("--secrets", secrets) if secrets else ()
        run("init", folder, "--name", name, "--port", "0", "--epoch", "1", *given)
        self.url = ""  # of a second process
        self.process: subprocess.Popen[bytes] | None = None

    def quotas(self, text: str) -> None:
        """Give every organisation and class this quota."""
        lines = [
            f"{line.partition('=')[0]}= {text}" if "per_minute" in line else line
            for line in self.config.read_text().splitlines()
            if not line.startswith("#")
        ]
        self.config.write_text("\n".join(lines) + "\n")

    def command(self, *arguments: str | Path, check: bool = True) -> str:
        """Run a command with this key holder's configuration; what it printed."""
        done = run(*arguments, "--config", self.config, check=check)
        return done.stdout + done.stderr

    def start(self) -> None:
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        with (self.folder / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "silenthit", "keyholder", "serve"),
                    *("--config", str(self.config), "--port-file", str(port_file)),
                ],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        until = time.monotonic() + 30
        while not port_file.exists():
            assert self.process.poll() is None, (self.folder / "stderr").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)

    def beside(self) -> HolderProcess:
        """Start a second process on the same folder, at an address of its own."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        other = copy(self)
        other.config, other.process = self.folder / "beside.toml", None
        lines = [
            f"port = {port}" if line.startswith("port =") else line
            for line in self.config.read_text("utf-8").splitlines()
        ]
        other.config.write_text("\n".join(lines) + "\n", "utf-8")
        other.url = f"https://127.0.0.1:{port}"
        other.start()
        return other

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(20)
            self.process = None

    def bundle(self, organisation: str, *options: str) -> Path:
        """Certify an organisation, by command."""
        out = self.folder / "bundles" / f"{organisation}-{time.monotonic_ns()}"
        self.command("certify", organisation, "--out", out, *options)
        return out


def client_of(
    *bundles: Path, patience: Patience | None = None, backfill: bool = False
) -> KeyHolderClient:
    """Open a client by the bundles of its key holders."""
    holders = tuple(load_bundle(each) for each in bundles)
    client = open_client(BlindingSettings(key_holders=holders, backfill=backfill))
    if patience is not None:
        for link in client.links:
            link.patience = patience
    _opened.append(client)
    return client


_opened: list[KeyHolderClient] = []


def close_clients() -> None:
    """Close what `client_of` opened."""
    while _opened:
        _opened.pop().close()
