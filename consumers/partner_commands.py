"""`silenthit partner`: set up, and the agencies it trusts."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.disclosure_commands import disclose_command, disclosure_key_command
from consumers.log_commands import audit, roles
from consumers.partner_setup import (
    VaultAt,
    check_name,
    config_text,
    login_name,
    make_vault,
    read_channel,
    remember_exchange,
)
from consumers.receiving import reopen
from consumers.signers import read_signer, trust, trusted
from consumers.user_commands import ask_passphrase, user_group
from consumers.vault_commands import backup, restore, upgrade
from schemas.topics import Bus, Role
from silenthit.arguments import from_argument
from silenthit.blinding.access import install_bundle, key_holder_toml
from silenthit.blinding.deconfliction_key import DeconflictionKey
from silenthit.bus.handover import HandOver, bus_toml
from silenthit.bus.settings import KafkaSettings
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
    help="Where alerts are posted: an apprise URL, or env:VARIABLE, as most URLs hold a token. The "
    "first one is the default.",
)
@click.option("--user", help="The first user, a supervisor. Default: the login name.")
@click.option("--passphrase", is_flag=True, help="Ask for theirs, instead of making a key file.")
@click.option(
    "--exchange-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The exchange's deconfliction key, where no hand-over file brings it.",
)
@click.option(
    "--vault-url",
    default="",
    help="A PostgreSQL that the squad shares, not a file; env:VARIABLE if it holds a password.",
)
@click.option("--vault-key-env", default="", metavar="NAME", help="The vault's key is in there.")
@click.option("--vault-key-keyring", default="", metavar="NAME", help="It is in the OS keyring.")
@json_option
@example(
    "silenthit partner init fbi --name fbi-ct --bootstrap kafka:9092 --local-key epoch1.json \\\n"
    "    --channel desk=env:DESK_URL"
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
    user: str | None,
    passphrase: bool,
    exchange_key: Path | None,
    vault_url: str,
    vault_key_env: str,
    vault_key_keyring: str,
    as_json: bool,
) -> None:
    """Make a partner's folder: configuration, vault, the vault's key, and the first user.

    Keep a copy of keys/vault.key where the vault's backups are not: without it nothing in the
    vault can be read. On another machine of the squad, put that copy into FOLDER/keys first and
    name the same --vault-url: the vault is joined, not made.
    """
    config = folder / "partner.toml"
    if config.exists():
        raise InputError(f"expected a new folder, got one with {config}; choose another")
    check_name(name)
    if bool(local_keys) == bool(bundles):
        raise InputError("expected either --key-holder or --local-key, to blind watches with")
    if bool(bootstrap) == bool(bus):
        raise InputError("expected either --bootstrap or --bus, to reach the broker")
    first = user or login_name()
    url = from_argument(vault_url, "--vault-url")
    at = VaultAt(url=url, key_env=vault_key_env, key_keyring=vault_key_keyring)
    text = config_text(name, first, at, local_keys, dict(map(read_channel, channels)))
    access = HandOver.load(bus, Role.PARTNER) if bus else None
    if access and access.name != name:
        raise InputError("expected a hand-over file for this --name, got another partner's")
    sealed_to = DeconflictionKey.load(exchange_key) if exchange_key else None
    secret = ask_passphrase(first) if passphrase else None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    holders = tuple(install_bundle(each, folder / "keys") for each in bundles)
    text += key_holder_toml(holders, folder)
    reached = {Bus.PARTNER: KafkaSettings(bootstrap_servers=bootstrap)} if bootstrap else {}
    text += access.install(folder) if access else bus_toml(reached)
    file = make_vault(config, text, first, secret)
    remember_exchange(config, sealed_to or (access.deconfliction if access else None))
    if as_json:
        print_json({"config": str(config), "name": name, "user": first, "key_file": file})
        return
    click.echo(f"{name} is set up in {folder}; {first} is its supervisor. Next:")
    click.echo(f"  export SILENTHIT_PARTNER={config}")
    click.echo("  silenthit partner trust SIGNER.json")
    click.echo("  silenthit watch add")
    click.echo("  silenthit alerts receive")


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
        reopened = reopen(ours.as_process()) if signers else []
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
    if signers:
        click.echo("To hear when their touches no longer come through: silenthit coverage add")


partner.add_command(user_group, "user")
for command in (audit, backup, restore, upgrade, roles, disclosure_key_command, disclose_command):
    partner.add_command(command)
