"""`silenthit partner`: set up, and the agencies it trusts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import rich_click as click

from consumers.cells import generate_key, load_key
from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.receiving import reopen
from consumers.signers import read_signer, trust, trusted
from consumers.vault import Vault
from schemas.topics import ALERTS, Bus, Role
from silenthit.blinding.access import install_bundle, key_holder_toml
from silenthit.blinding.prf import EpochSecrets
from silenthit.bus.clients import KafkaSettings
from silenthit.bus.handover import HandOver, bus_toml
from silenthit.errors import InputError


@click.group()
def partner() -> None:
    """Set up a partner: vault, keys, the agencies it trusts.

    Example: silenthit partner trust harbor/signer.json --config fbi/partner.toml
    """


@partner.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", required=True, help="Name at the exchange: lower case, digits, hyphens.")
@click.option("--bootstrap", default="", help="HOST:PORT of a partners' Kafka that asks no proof.")
@click.option(
    "--bus",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The exchange's hand-over file, instead of --bootstrap.",
)
@click.option(
    "--local-key",
    "local_keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Epoch secrets of a development key holder; the last one given is current.",
)
@click.option(
    "--key-holder",
    "bundles",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="The bundle that a key holder made for this partner.",
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="NAME=URL",
    help="Where alerts are posted: an apprise URL. The first one is the default.",
)
@json_option
@example(
    "silenthit partner init fbi --name fbi-ct --bootstrap kafka:9092 --local-key epoch1.json \\\n"
    "    --channel desk=slack://TOKEN_A/TOKEN_B/TOKEN_C"
)
def init(
    *,
    folder: Path,
    name: str,
    bootstrap: str,
    bus: Path | None,
    local_keys: tuple[Path, ...],
    bundles: tuple[Path, ...],
    channels: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a partner's folder: configuration, vault, and the vault's key.

    Keep a copy of keys/vault.key where the vault's backups are not: without it nothing in the
    vault can be read.
    """
    config = folder / "partner.toml"
    if config.exists():
        raise InputError(f"expected a new folder, got one with {config}; choose another")
    try:
        ALERTS.of(name)
    except ValueError as error:
        raise InputError(f"{error}, got another --name") from None
    if bool(local_keys) == bool(bundles):
        raise InputError("expected either --key-holder or --local-key, to blind watches with")
    if bool(bootstrap) == bool(bus):
        raise InputError("expected either --bootstrap or --bus, to reach the broker")
    text = _config_text(name, local_keys, dict(map(_channel, channels)))
    access = HandOver.load(bus, Role.PARTNER) if bus else None
    if access and access.name != name:
        raise InputError("expected a hand-over file for this --name, got another partner's")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    holders = tuple(install_bundle(each, folder / "keys") for each in bundles)
    text += key_holder_toml(holders, folder)
    reached = {Bus.PARTNER: KafkaSettings(bootstrap_servers=bootstrap)} if bootstrap else {}
    text += access.install(folder) if access else bus_toml(reached)
    key = folder / "keys" / "vault.key"
    generate_key(key)
    Vault.open(folder / "vault.sqlite", load_key(key), create=True).close()
    descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if as_json:
        print_json({"config": str(config), "name": name})
    else:
        click.echo(f"{name} is set up in {folder}. Next:")
        click.echo(f"  silenthit partner trust SIGNER.json --config {config}")
        click.echo(f"  silenthit watch add --config {config}")
        click.echo(f"  silenthit alerts receive --config {config}")


def _channel(text: str) -> tuple[str, str]:
    name, given, url = text.partition("=")
    if not given or not name.isidentifier():
        raise InputError("expected --channel NAME=URL with a NAME of letters, digits and _")
    return name, url


def _config_text(name: str, local_keys: tuple[Path, ...], channels: dict[str, str]) -> str:
    """Write TOML; JSON strings and lists are TOML ones too."""
    epochs = [EpochSecrets.load(path).epoch for path in local_keys]
    lines = [f"name = {json.dumps(name)}"]
    lines += ['vault = "vault.sqlite"', 'vault_key = "keys/vault.key"']
    lines += [f"deliver_to = {json.dumps(list(channels)[:1])}", ""]
    if local_keys:
        lines += ["[blinding]"]
        lines += [f"local_keys = {json.dumps([str(path.resolve()) for path in local_keys])}", ""]
        lines += ["[blinding.epochs]"]
        lines += [f"{epoch} = {json.dumps('draining')}" for epoch in epochs[:-1]]
        lines += [f"{epochs[-1]} = {json.dumps('current')}", ""]
    for channel, url in channels.items():
        lines += [f"[channels.{channel}]", f"url = {json.dumps(url)}", ""]
    return "\n".join(lines)


@partner.command("trust")
@click.argument("files", nargs=-1, metavar="[SIGNER.json]...", type=click.Path(path_type=Path))
@config_option
@json_option
@example("silenthit partner trust hartford/signer.json newhaven/signer.json")
def trust_command(*, files: tuple[Path, ...], config: Path, as_json: bool) -> None:
    """Accept the signatures of these agencies; without files, list those accepted.

    Alerts that came before their agency was trusted are opened now.
    """
    with opened(config) as ours:
        signers = [read_signer(path) for path in files]
        with ours.vault.write() as into:
            for signer in signers:
                trust(into, signer)
        reopened = reopen(ours) if signers else []
        with ours.vault.read() as rows:
            every = trusted(rows)
    if as_json:
        listed = [{"key_id": each.key_id, "name": each.name} for each in every]
        print_json({"trusted": listed, "reopened": [each.alert_id.hex() for each in reopened]})
        return
    for each in every:
        click.echo(f"{each.key_id}  {each.name}  {each.public_key[:16]}…")
    if reopened:
        click.echo(f"{len(reopened)} alerts that had waited for a signer were opened.")
