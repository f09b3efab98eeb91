"""What is secret stays with its owner: modes of files and folders, arguments, reprs."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import pkgutil
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, SecretStr

from consumers.partner_setup import read_channel
from schemas.frozen import Frozen
from schemas.topics import Bus, Role
from silenthit import cli
from silenthit.arguments import from_argument
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.bus.handover import HandOver, SenderSecret
from silenthit.bus.sender import SenderKey
from silenthit.bus.settings import KafkaSettings
from silenthit.call_tree.channels import ChannelSettings
from silenthit.cli import root
from silenthit.errors import InputError
from stream_processors.settings import Agency, ExchangeSettings, Organisations

PASSWORD = "a-brokers-password"
SENDER = "5e" * 32
PACKAGES = ("schemas", "silenthit", "producers", "consumers", "key_holder", "stream_processors")
# Shown in a repr by a telling name or as bytes, and no secret: what it is instead.
SHOWN = {
    ("Deconflicting", "key"): "a public key",
    ("EpochEntry", "public_keys"): "public keys",
    ("HolderLink", "signer"): "a public key",
    ("Service", "signer"): "a public key",
    ("WatchSeal", "watch_key"): "the name of a public key",
    ("Batch", "sections"): "blinded elements, which tell nothing",
    ("Clear", "unlisted"): "numbers of subjects",
    ("Head", "chain"): "the name of a chain",
    ("Listed", "chain"): "the name of a chain",
    ("Listed", "commitment"): "a hash",
    ("Head", "hash"): "a hash over a hash",
    ("Seen", "hashes"): "hashes of links",
    ("Seen", "previous"): "hashes of links",
    ("OpenCase", "about"): "an id",
    ("Sighting", "record"): "an id",
    ("Stored", "about"): "an id",
    ("Tip", "about"): "an id",
    ("Claim", "about"): "an id",
    ("Leased", "about"): "an id",
    ("Sealed", "header"): "the clear header",
    ("Service", "_served"): "the signed document that anybody may have",
    ("HandOver", "sender"): "itself a class here",
    ("TipRows", "box"): "a function",
    ("KeyHolderSettings", "url"): "an address",
    ("HolderLink", "url"): "an address",
    ("LinkSigner", "url"): "an address",
    ("ReplySettings", "url"): "an address",
    ("KeyHolderConfig", "url"): "an address",
    ("KeyHolderConfig", "secrets"): "a folder",
    ("IntakeSettings", "token"): "a file",
    ("Holding", "tokens"): "a count",
    ("Holding", "tokens_of_a_day"): "a count",
    ("WatchBounds", "tokens"): "a count",
    ("WatchBounds", "tokens_a_day"): "a count",
    ("WatchBounds", "tokens_of_a_kind"): "a count",
    ("QuerySettings", "url_env"): "the name of a variable",
    ("KindFacts", "token_class"): "a number of three",
    ("Heartbeat", "index_bytes"): "a size",
    ("TouchColumns", "tokens_from"): "a place",
    ("TouchColumns", "tokens_to"): "a place",
}
TELLING = re.compile(r"secret|password|passphrase|token|url|bytes", re.IGNORECASE)
# Options that take something secret only by where it is.
NAMES_IT = {"vault_key_env", "vault_key_keyring"}


def run(*words: str | Path, answers: str = "") -> None:
    done = CliRunner().invoke(root, [str(word) for word in words], input=answers)
    assert done.exit_code == 0, done.output


@pytest.fixture
def open_umask() -> Iterator[None]:
    """So that nothing is private merely because the person who runs it is careful."""
    before = os.umask(0)
    yield
    os.umask(before)


def handed_over(folder: Path, name: str, role: Role) -> Path:
    security = {
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": name,
        "sasl.password": PASSWORD,
        "ssl.ca.pem": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    }
    bus = {Role.PARTNER: Bus.PARTNER}.get(role, Bus.AGENCY)
    key = SenderSecret(key_id=f"{name.upper()}#1", secret=SecretStr(SENDER))
    made = HandOver(
        name=name,
        role=role,
        bus={bus: KafkaSettings(bootstrap_servers="127.0.0.1:1", security=security)},
        sender=key if role is Role.AGENCY else None,
    )
    made.save(folder / f"{name}.toml")
    return folder / f"{name}.toml"


@pytest.mark.usefixtures("open_umask")
def test_every_file_that_holds_a_secret_is_its_owners_and_so_is_its_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    holder, at = home / "holder", ("--config", home / "holder" / "keyholder.toml")
    run("keyholder", "generate", home / "epoch1.json", "--epoch", "1")
    run("keyholder", "init", holder, "--epoch", "1")
    run("keyholder", "certify", "VT0040100", "--out", home / "bundle", *at)
    shares = ("--share", home / "share1", "--share", home / "share2")
    run("keyholder", "backup", "make", "1", "--to", home / "backup", *shares, *at)
    agency = ("agency", "init", "--ori", "VT0040100", "--name", "PD")
    run(*agency, home / "alone", "--bootstrap", "127.0.0.1:1", "--local-key", home / "epoch1.json")
    bus = handed_over(home, "vt0040100", Role.AGENCY)
    run(*agency, home / "agency", "--bus", bus, "--key-holder", home / "bundle")
    run("exchange", "init", home / "exchange", "--bootstrap", "127.0.0.1:1")
    run("exchange", "watch-key", "new", "--config", home / "exchange" / "exchange.toml")
    known = Organisations().with_agency(home / "alone" / "sender.json")
    known.save(home / "exchange" / "organisations.json")
    bus = handed_over(home, "fbi-ct", Role.PARTNER)
    partner = ("partner", "init", home / "partner", "--name", "fbi-ct", "--user", "reyes")
    run(*partner, "--bus", bus, "--key-holder", home / "bundle", "--channel", "d=json://x/TOKEN")
    secret = [path for path in home.rglob("*") if path.is_file() and not is_public(path)]
    named = {str(path.relative_to(home)) for path in secret}
    assert named >= {
        "epoch1.json",
        "backup",
        "share1",
        "holder/signer.key",
        "holder/ca/ca.key",
        "holder/tls/server.key",
        "holder/secrets/epoch-1.json",
        "bundle/VT0040100.key",
        "agency/agency.toml",
        "agency/keys/sender.key",
        "alone/sender.json",
        "alone/keys/signing.pem",
        "exchange/organisations.json",
        "exchange/keys/deconfliction.key",
        "exchange/keys/watches/0002.key",
        "partner/partner.toml",
        "partner/keys/vault.key",
    }
    for path in secret:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, path.parent


def is_public(path: Path) -> bool:
    """What others may read: certificates, public keys, and settings that say nothing secret."""
    text = path.read_bytes()
    hidden = (b"PRIVATE KEY", PASSWORD.encode(), SENDER.encode(), b"TOKEN", b'"secret"', b'"seeds"')
    if any(each in text for each in hidden):
        return False
    names = ("*.crt", "signer.json", "epochs.json", "key_holder.toml", "keyholder.toml", "*-ca.pem")
    return any(path.match(name) for name in names)


def commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(f"{path} {name}", found)


def every_command() -> Iterator[tuple[str, click.Command]]:
    for name in cli.ENTRIES:
        yield from commands(name, cli.load(name))


def test_no_option_takes_a_secret_by_its_value() -> None:
    """A file, a variable or a keyring is named instead, or it is asked for at the terminal."""
    named, values = 0, []
    for path, command in every_command():
        for each in command.params:
            words = f"{each.name} {getattr(each, 'help', '')}".replace("key holder", "")
            telling = re.search(
                r"secret|password|passphrase|token|_key\b|\bkey\b|pin\b", words, re.IGNORECASE
            )
            if not telling or getattr(each, "is_flag", False):
                continue
            named += 1
            by_place = isinstance(each.type, click.Path) or each.name in NAMES_IT
            if not by_place and "env:VARIABLE" not in words:
                values.append((path, each.name))
    assert named > 20
    assert values == []


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("exchange", "init", "x", "--bootstrap", "h:1", "--redis"), "redis://:hunter2@h/0"),
        (
            ("partner", "init", "x", "--name", "fbi", "--bootstrap", "h:1", "--vault-url"),
            "postgresql://u:hunter2@db/vault",
        ),
    ],
)
def test_a_url_with_a_password_is_refused_as_an_argument_and_taken_from_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run("keyholder", "generate", "epoch1.json", "--epoch", "1")
    key = ("--local-key", "epoch1.json") if words[0] == "partner" else ()
    refused = CliRunner().invoke(root, [*words, option, *key])
    assert refused.exit_code == InputError.exit_code
    assert "env:VARIABLE" in refused.output
    assert "hunter2" not in refused.output
    assert not (tmp_path / "x").exists()
    assert from_argument("env:STORE", "--redis", {"STORE": option}) == option
    with pytest.raises(InputError, match="STORE"):
        from_argument("env:STORE", "--redis", {})


def test_a_channel_is_taken_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_URL", "slack://TOKEN")
    assert read_channel("desk=env:DESK_URL") == ("desk", "slack://TOKEN")


def modules() -> Iterator[ModuleType]:
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for each in pkgutil.walk_packages(package.__path__, f"{name}."):
            if "migrations" not in each.name and not each.name.endswith("__main__"):
                yield importlib.import_module(each.name)


def classes() -> Iterator[type]:
    for module in modules():
        for each in vars(module).values():
            if inspect.isclass(each) and each.__module__ == module.__name__:
                yield each


def fields_shown(of: type) -> dict[str, str]:
    """What a repr that nobody wrote shows: names and types of fields."""
    if dataclasses.is_dataclass(of):
        made = getattr(of.__repr__, "__wrapped__", of.__repr__)
        written = made.__code__.co_filename != "<string>"
        return {} if written else {f.name: str(f.type) for f in dataclasses.fields(of) if f.repr}
    if issubclass(of, BaseModel) and not issubclass(of, Frozen):  # whose repr shows no field
        return {n: str(f.annotation) for n, f in of.model_fields.items() if f.repr}
    if issubclass(of, tuple) and "__repr__" not in vars(of):
        return {name: str(kind) for name, kind in getattr(of, "__annotations__", {}).items()}
    return {}


def test_no_class_of_ours_shows_bytes_or_what_is_called_a_secret_in_its_repr() -> None:
    seen, shown = 0, set()
    for each in set(classes()):
        seen += 1
        for name, kind in fields_shown(each).items():
            telling = TELLING.search(f"{name} {kind}") and not name.endswith("_id")
            if telling and "SecretStr" not in kind:
                shown.add((each.__name__, name))
    assert seen > 400
    assert shown == SHOWN.keys()


def test_what_holds_a_password_says_it_nowhere(tmp_path: Path) -> None:
    made = HandOver.load(handed_over(tmp_path, "vt0040100", Role.AGENCY))
    channel = ChannelSettings(url=SecretStr("slack://TOKEN"))
    secrets = EpochSecrets.generate(1)
    settings = ExchangeSettings.model_validate(
        {"bus": {"agency": made.bus[Bus.AGENCY], "partner": made.bus[Bus.AGENCY]},
         "redis": f"redis://:{PASSWORD}@h/0"}
    )  # fmt: skip
    held = (
        *(made, made.sender, made.bus[Bus.AGENCY], channel, settings, secrets),
        SenderKey("VT0040100#1", bytes.fromhex(SENDER)),
        Agency(key_id="VT0040100#1", secret=SecretStr(SENDER)),
    )
    hidden = [PASSWORD, SENDER, "TOKEN", *(seed.hex() for seed in secrets.seeds.values())]
    for each in held:
        for said in (repr(each), str(each), f"{each}"):
            assert not [word for word in hidden if word in said]
            assert "\\x5e" not in said
            assert "^^" not in said
