"""Two key holders turn an epoch under traffic: every alert once; then they destroy the old one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from consumers.vault import REGISTRATIONS, Vault
from consumers.vault_keys import load_key
from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.packing import MATCH, TOKEN, pack, rows
from schemas.parts import Identifier, Subject
from schemas.topics import TOUCHES
from schemas.vocabulary import IdentifierKind, TokenClass
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.opening import Sealed, open_touch
from silenthit.blinding.prf import LocalKey, Token
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from silenthit.bus.embedded import EmbeddedBroker
from silenthit.errors import RefusedError, SealError
from silenthit.identity.match_keys import match_keys
from tests.key_holders import PLENTY, HolderProcess, client_of, close_clients
from tests.town import Town

HEAD = "record_number,kind,role,surname,given,birth_date,ssn\n"
WATCH = """
[[watch]]
label = "Quillfeather"
legal_basis = "affidavit"
[[watch.subject]]
surname = "Quillfeather"
given = "John"
birth_dates = ["1980-01-02"]
[[watch.subject.identifiers]]
kind = "ssn"
value = "212-34-5678"
"""
SUBJECT = Subject(identifiers=(Identifier(kind=IdentifierKind.SSN, value="212-34-5678"),))
RECORDS_A_BATCH = 20


class Turning(Town):
    """A town whose tokens come from two key holders."""

    def found_with(self, holders: list[HolderProcess]) -> None:
        self.holders = holders
        at = ("--bootstrap", self.kafka.bootstrap_servers)
        self.run("exchange", "init", self.folder / "exchange", *at)
        config = self.folder / "exchange" / "exchange.toml"
        text = config.read_text("utf-8").partition("[epochs]")[0]
        for each in holders:
            signer = json.loads(each.command("status", "--json"))["signer"]
            document = each.folder / "epochs.json"
            text += f'[[key_holders]]\ndocument = "{document}"\nsigner = "{signer}"\n'
        config.write_text(text, "utf-8")
        self.run("exchange", "topics", *self.exchange)

    def bundles(self, organisation: str) -> list[str]:
        made = [each.bundle(organisation) for each in self.holders]
        return [word for each in made for word in ("--key-holder", str(each))]

    def add_agency(self, name: str, ori: str) -> None:
        at = ("--bootstrap", self.kafka.bootstrap_servers, *self.bundles(ori))
        self.run("agency", "init", self.folder / name, "--ori", ori, "--name", name, *at)
        self.run("exchange", "enrol", "agency", self.folder / name / "sender.json", *self.exchange)

    def add_partner(self, name: str, *agencies: str) -> None:
        at = ("--bootstrap", self.kafka.bootstrap_servers, *self.bundles(name))
        self.run("exchange", "enrol", "partner", name, *self.exchange)
        self.run("partner", "init", self.folder / name, "--name", name, *at)
        signers = [self.folder / agency / "signer.json" for agency in agencies]
        self.run("partner", "trust", *signers, *self.of(name, "partner"))

    def turn(self, *step: str) -> None:
        """Take a step at every key holder, the first named last: it leads."""
        for each in reversed(self.holders):
            each.command(*step)

    def says(self, *words: str | Path, code: int) -> str:
        """Run a command that ends with this code; what it said on standard error."""
        command = [sys.executable, "-m", "silenthit", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stderr
        return done.stderr

    def touches(self) -> list[Message]:
        """Every touch on the bus."""
        with TopicReader(self.kafka, [TOUCHES.name], client_id="test") as reader:
            found: list[Message] = []
            while not reader.caught_up():
                found += reader.read(1000, 1.0)
        return [each for each in found if each.value is not None]


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turning]:
    folder = tmp_path_factory.mktemp("turning")
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker())
        holders = [HolderProcess(folder / name, name=name) for name in ("federal", "state")]
        for each in holders:
            each.quotas(PLENTY)
            each.start()
            stack.callback(each.stop)
        stack.callback(close_clients)
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        made = Turning(folder, kafka, "embedded")
        stack.callback(made.stop_workers)
        made.found_with(holders)
        made.add_agency("harbor", "MA0130100")
        made.add_partner("fbi", "harbor")
        made.start_worker()
        yield made


def records(batch: int) -> list[str]:
    return [f"R-{batch}-{number}" for number in range(RECORDS_A_BATCH)]


def write_records(path: Path, batch: int) -> None:
    lines = [
        f"{number},arrest,suspect,Quillfeather,John,1980-01-02,212-34-5678"
        if place % 2
        else f"{number},arrest,suspect,Ash,Mary,1991-07-{place + 1:02},"
        for place, number in enumerate(records(batch))
    ]
    path.write_text(HEAD + "\n".join(lines) + "\n", "utf-8")


def expected(batches: int) -> list[str]:
    return sorted(number for batch in range(batches) for number in records(batch)[1::2])


@pytest.mark.timeout(400)
def test_an_epoch_turns_under_traffic_and_its_end_is_final(turning: Turning) -> None:
    turning.watch("fbi", WATCH)
    stop, published = threading.Event(), Counter[str]()

    def publish_on() -> None:
        while not stop.is_set():
            path = turning.folder / "records.csv"
            write_records(path, published["batches"])
            turning.publish("harbor", path)
            published["batches"] += 1

    traffic = threading.Thread(target=publish_on)
    traffic.start()
    try:
        _turn_under_traffic(turning, published)
    finally:
        stop.set()
        traffic.join(120)
    turning.wait_until_matched()
    alerts = turning.alerts("fbi")
    assert sorted(each["record_number"] for each in alerts) == expected(published["batches"])
    assert {each["status"] for each in alerts} == {"active"}
    assert turning.quarantined() == []
    headers = [_header(each) for each in turning.touches()]
    assert {each.epoch for each in headers} == {1, 2}, "traffic flowed in both epochs"
    _nobody_else_has_the_secrets(turning)
    _destroy_and_try_everything(turning)


@pytest.mark.timeout(300)
def test_while_a_key_holder_is_away_records_wait_and_commands_say_so(turning: Turning) -> None:
    away = turning.holders[1]
    path = turning.folder / "later.csv"
    path.write_text(HEAD + "L-1,arrest,suspect,Ash,Mary,1991-07-30,\n", "utf-8")
    harbor = turning.of("harbor", "agency")
    away.stop()
    turning.run("agency", "publish", path, "--wait", "1", *harbor, code=4)
    assert (
        json.loads(turning.run("agency", "status", "--json", *harbor))["records"]["accepted"] == 1
    )
    watches = turning.folder / "later.toml"
    watches.write_text(WATCH.replace("Quillfeather", "Oxenbrook"), "utf-8")
    said = turning.says("watch", "import", watches, *turning.of("fbi", "partner"), code=4)
    assert "the key holder state" in said
    away.start()
    turning.run("agency", "publish", *harbor)
    assert (
        json.loads(turning.run("agency", "status", "--json", *harbor))["records"]["accepted"] == 0
    )
    turning.run("watch", "import", watches, *turning.of("fbi", "partner"))


def _turn_under_traffic(turning: Turning, published: Counter[str]) -> None:
    def flow(batches: int) -> None:
        wanted = published["batches"] + batches
        while published["batches"] < wanted:
            threading.Event().wait(0.05)

    flow(2)
    turning.turn("prepare")
    turning.run("watch", "retoken", *turning.of("fbi", "partner"))
    flow(1)
    turning.turn("rotate")
    flow(2)
    turning.turn("retire", "1")
    flow(2)


def _header(message: Message) -> TouchHeader:
    assert message.value is not None
    return codec.decode(codec.decode(message.value, SubjectTouch).header, TouchHeader)


def _everything(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for each in folder.rglob("*"):
        if each.is_file() and not each.is_socket():
            yield each, each.read_bytes()
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline"):
            try:
                yield process / name, (process / name).read_bytes()
            except OSError:
                continue


def _forms(secret: bytes) -> tuple[bytes, ...]:
    return secret, secret.hex().encode(), secret.hex().upper().encode()


def _nobody_else_has_the_secrets(turning: Turning) -> None:
    """Environment, arguments and files of every other process and party."""
    custody = {holder.folder / "secrets" for holder in turning.holders}
    seeds = [
        form
        for folder in custody
        for path in folder.iterdir()
        for seed in EpochSecrets.load(path).seeds.values()
        for form in _forms(seed)
    ]
    assert len(seeds) == 2 * 2 * len(TokenClass) * 3
    for place, content in _everything(turning.folder):
        if place.parent not in custody:
            assert not any(form in content for form in seeds), place


def _sealed(message: Message, tokens: list[Token]) -> Sealed:
    """A touch as an alert would bring it to whoever holds these tokens."""
    assert message.value is not None
    touch = codec.decode(message.value, SubjectTouch)
    kinds = {token.value: int(token.kind) for token in tokens}
    matches = [
        (index, int(row["subject"]), 0, kinds[row["token"].tobytes()], row["token"].tobytes())
        for index, row in enumerate(rows(touch.tokens, TOKEN))
        if row["token"].tobytes() in kinds
    ]
    packed = pack(list[tuple[int | bytes, ...]](matches), MATCH)
    return Sealed(
        header=touch.header,
        matches=packed,
        locks=touch.locks,
        grants=touch.grants,
        parts=touch.parts,
    )


def _destroy_and_try_everything(turning: Turning) -> None:
    """After destroy, only who had derived a token of the old epoch can open a touch of it."""
    sampled = [each for each in turning.touches() if _header(each).epoch == 1]
    [key] = match_keys(SUBJECT)
    # What is kept here in the test stands for a token derived before, by somebody who kept it.
    local = LocalKey(
        *([EpochSecrets.load(each.folder / "secrets" / "epoch-1.json")] for each in turning.holders)
    )
    kept = local.tokens(1, [key])
    old = next(each for each in sampled if len(_sealed(each, kept).matches))
    verify = _verify_keys(turning)
    opened = open_touch(_sealed(old, kept), {each.value: each.secret for each in kept}, verify)
    assert opened.common is not None

    seeds = [
        form
        for each in turning.holders
        for seed in EpochSecrets.load(each.folder / "secrets" / "epoch-1.json").seeds.values()
        for form in _forms(seed)
    ]
    turning.holders[0].command("destroy", "1", "--yes")
    bundles = [each.bundle("NEWCOMER") for each in turning.holders]
    with pytest.raises(RefusedError, match="destroyed"):
        client_of(*bundles).tokens(1, [key])
    # One key holder is enough to end it; the other's secret alone gives other tokens.
    state = client_of(bundles[1]).tokens(1, [key])
    assert state[0].value != kept[0].value
    turning.holders[1].command("destroy", "1", "--yes")
    turning.run("watch", "retoken", *turning.of("fbi", "partner"))

    new = client_of(*bundles).tokens(2, [key])
    for attempt in (state, new):
        # Even with the token's place in the touch given away, its secret is missing.
        claimed = {kept[0].value: attempt[0].secret}
        with pytest.raises(SealError):
            open_touch(_sealed(old, kept), claimed, verify)
    for place, content in _everything(turning.folder):
        assert not any(form in content for form in seeds), place
        assert kept[0].secret not in content, place
        assert kept[0].secret.hex().encode() not in content, place
    _vault_has_forgotten(turning, kept[0])


def _verify_keys(turning: Turning) -> dict:  # type: ignore[type-arg]
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signer = json.loads((turning.folder / "harbor" / "signer.json").read_text("utf-8"))
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer["public_key"]))
    return {signer["key_id"]: public}


def _vault_has_forgotten(turning: Turning, token: Token) -> None:
    """The partner's vault, opened with its own key, holds the new epoch's secrets alone."""
    folder = turning.folder / "fbi"
    vault = Vault.open(folder / "vault.sqlite", load_key(folder / "keys" / "vault.key"))
    try:
        with vault.read() as found:
            held = list(found.find(REGISTRATIONS, columns=("epoch", "private_secrets")))
    finally:
        vault.close()
    secrets = {each["epoch"]: each["private_secrets"] for each in held}
    assert secrets[1] is None
    assert secrets[2]
    assert token.secret not in secrets[2]
