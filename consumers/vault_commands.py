"""`silenthit partner backup | restore | upgrade`: keeping the vault."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from consumers.backup import back_up, restore_into
from consumers.command_line import config_option, example, opened
from consumers.partner import open_vault, vault_key
from consumers.settings import PartnerSettings
from consumers.vault.upgrade import upgrade_vault
from silenthit.settings import load_toml


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@config_option
@example("silenthit partner backup /mnt/backups/vault-2026-11-23.sqlite")
def backup(*, file: Path, config: Path) -> None:
    """Copy the vault, sealed as it is, to a new file. The key is not in it: keep that elsewhere."""
    with opened(config, calls=False) as ours:
        rows = back_up(ours.vault, file, ours.now())
    click.echo(f"{rows} rows in {file}; keep the vault's key apart from it")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@example("silenthit partner restore /mnt/backups/vault-2026-11-23.sqlite")
def restore(*, file: Path, config: Path) -> None:
    """Fill an empty vault from a backup; also to move from a file to PostgreSQL, or back.

    Users, log and all come with it. Watches that were placed after the backup are unknown to it.
    """
    settings = load_toml(config, PartnerSettings)
    key = vault_key(settings)
    vault = open_vault(settings, create=True)
    try:
        rows = restore_into(vault, file, key)
    finally:
        vault.close()
    click.echo(f"{rows} rows restored")


@click.command()
@config_option
@example("silenthit partner upgrade --config fbi/partner.toml")
def upgrade(*, config: Path) -> None:
    """Bring a vault that an older silenthit made up to this one. Stop the inbox before."""
    settings = load_toml(config, PartnerSettings)
    url = settings.vault_url
    where = url.get_secret_value() if url is not None else settings.vault
    before, now = upgrade_vault(where, vault_key(settings))
    click.echo(f"the vault is of schema {now}" + (f", it was {before}" if before != now else ""))
