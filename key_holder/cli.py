"""The `silenthit keyholder` commands."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from key_holder import log
from key_holder.certificate_commands import certificates, certify, register, renew, revoke
from key_holder.command_line import EPOCH, FILE, FOLDER, as_json, with_config
from key_holder.database import open_book, transaction
from key_holder.quotas import book_backfill
from key_holder.record_commands import backup_group, log_group
from key_holder.settings import load_config
from key_holder.setup import Address, found, open_lifecycle
from key_holder.status import status_of
from silenthit.blinding.epoch_document import EpochDocument
from silenthit.blinding.epoch_secrets import EpochSecrets


@click.group()
def keyholder() -> None:
    """Hold the token secrets and evaluate blinded match keys.

    Begin with: silenthit keyholder init /etc/silenthit/keyholder --name federal --epoch 1
    """


@keyholder.command()
@click.argument("file", type=FILE)
@click.option("--epoch", type=EPOCH, required=True)
def generate(file: Path, epoch: int) -> None:
    """Write fresh secrets of one epoch to FILE, for use as a development `local_keys`.

    Example: silenthit keyholder generate keys/epoch-1.json --epoch 1
    """
    EpochSecrets.generate(epoch).save(file)
    click.echo(f"wrote secrets of epoch {epoch} to {file}")


@keyholder.command()
@click.argument("folder", type=FOLDER)
@click.option("--epoch", type=EPOCH, default=1, show_default=True)
@click.option("--name", default="keyholder", show_default=True, help="How clients call it.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8443, help="0: a free one.")
@click.option("--dns", multiple=True, help="Host names in its certificate, the first for clients.")
@click.option("--secrets", "given", type=FILE, help="Begin with secrets made by `generate`.")
def init(  # noqa: PLR0917 click passes options by name
    folder: Path,
    epoch: int,
    name: str,
    host: str,
    port: int,
    dns: tuple[str, ...],
    given: Path | None,
) -> None:
    """Make a key holder in FOLDER: configuration, CA, certificate, signer, and its first epoch.

    Example: silenthit keyholder init holder --name federal --epoch 1 --dns keys.example.gov
    """
    names = [*dns, host, *(["localhost"] if host == "127.0.0.1" else [])]
    if port == 0:
        with socket.create_server((host, 0)) as free:
            port = free.getsockname()[1]
    secrets = EpochSecrets.load(given) if given else EpochSecrets.generate(epoch)
    config = found(folder, name, Address(host=host, port=port, names=names), secrets)
    click.echo(f"key holder {name}: epoch {secrets.epoch} is current, {config.url}")


@keyholder.command()
@with_config
@click.option("--port-file", type=FILE, help="Gets host:port once the service listens.")
def serve(config: Path, port_file: Path | None) -> None:
    """Evaluate batches for certified organisations, until SIGTERM.

    Example: silenthit keyholder serve --config holder/keyholder.toml
    """
    from key_holder.server import serve as run

    run(load_config(config), port_file)


@keyholder.command()
@with_config
@as_json
def status(config: Path, machine: bool) -> None:
    """Show the epochs, the backups on record, the end of the log, and the signer to pin.

    Example: silenthit keyholder status --config holder/keyholder.toml --json
    """
    shown = status_of(open_lifecycle(load_config(config)))
    if machine:
        click.echo(json.dumps(shown))
        return
    for name, value in shown.items():
        click.echo(f"{name}: {value}")


@keyholder.command()
@with_config
def document(config: Path) -> None:
    """Print the signed epoch document, for the exchange; nothing in it is secret.

    Example: silenthit keyholder document --config holder/keyholder.toml > epochs.json
    """
    open_lifecycle(load_config(config)).document()
    click.echo(load_config(config).epochs.read_text("ascii"), nl=False)


def _step(config: Path, take: Callable[[Any], EpochDocument]) -> None:
    document = take(open_lifecycle(load_config(config)))
    states = ", ".join(f"{n} {each.state.value}" for n, each in sorted(document.epochs.items()))
    click.echo(f"version {document.version}: {states}")


@keyholder.command()
@with_config
def prepare(config: Path) -> None:
    """Make the next epoch's secrets; partners retoken their watches into it.

    Example: silenthit keyholder prepare --config holder/keyholder.toml
    """
    _step(config, lambda lifecycle: lifecycle.prepare())


@keyholder.command()
@with_config
def rotate(config: Path) -> None:
    """Make the prepared epoch current, and the current one draining.

    Example: silenthit keyholder rotate --config holder/keyholder.toml
    """
    _step(config, lambda lifecycle: lifecycle.rotate())


@keyholder.command()
@click.argument("epoch", type=EPOCH)
@with_config
def retire(epoch: int, config: Path) -> None:
    """Close a draining EPOCH to touches; it stays for looking back.

    Example: silenthit keyholder retire 1 --config holder/keyholder.toml
    """
    _step(config, lambda lifecycle: lifecycle.retire(epoch))


@keyholder.command()
@click.argument("epoch", type=EPOCH)
@with_config
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy(epoch: int, config: Path, yes: bool) -> None:
    """Erase a retired EPOCH's secrets, for good; its backups must be destroyed before.

    Example: silenthit keyholder destroy 1 --config holder/keyholder.toml
    """
    if not yes:
        click.confirm(f"Erase the secrets of epoch {epoch}? Nobody can undo this.", abort=True)
    _step(config, lambda lifecycle: lifecycle.destroy(epoch))


@keyholder.command()
@click.argument("organisation")
@with_config
@click.option("--elements", type=click.IntRange(1), required=True, help="How many in all.")
@click.option("--per-minute", type=click.IntRange(1), default=3000, show_default=True)
@click.option("--days", type=float, default=30.0, show_default=True)
def book(organisation: str, config: Path, elements: int, per_minute: int, days: float) -> None:
    """Book ORGANISATION an allowance of its own for loading old records, apart from live traffic.

    Example: silenthit keyholder book MASF00100 --elements 5000000 --config holder/keyholder.toml
    """
    now, held = time.time(), open_book(load_config(config).database)
    with transaction(held):
        until = now + days * 86_400
        book_backfill(held, organisation, elements=elements, per_minute=per_minute, until=until)
        log.append(
            held, now, "booked", organisation=organisation, elements=elements, per_minute=per_minute
        )
    click.echo(f"{organisation}: {elements} elements at {per_minute} a minute, for {days:g} days")


for each in (certify, renew, register, revoke, certificates, log_group, backup_group):
    keyholder.add_command(each)
