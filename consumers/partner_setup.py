"""Setting a partner up: `partner.toml`, the vault with its key, and its first user."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from consumers.exchange_key import trust_exchange
from consumers.partner import open_vault
from consumers.roles import Role
from consumers.settings import PartnerSettings
from consumers.times import from_ms
from consumers.users import add_user, users, write_key_file
from consumers.vault_keys import generate_in_keyring, generate_key
from schemas.topics import ALERTS
from silenthit.arguments import from_argument
from silenthit.blinding.deconfliction_key import DeconflictionKey
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.errors import InputError
from silenthit.settings import load_toml


@dataclass(frozen=True, kw_only=True, slots=True)
class VaultAt:
    """Where the vault and its key are to be; empty: a file in the partner's folder."""

    url: str = field(default="", repr=False)  # a password may stand in it
    key_env: str = ""
    key_keyring: str = ""


def check_name(name: str) -> None:
    """Raise InputError unless this can be a partner's name."""
    try:
        ALERTS.of(name)
    except ValueError as error:
        raise InputError(f"{error}, got another --name") from None


def read_channel(text: str) -> tuple[str, str]:
    """Read NAME=URL, or NAME=env:VARIABLE. Raises InputError for another form."""
    name, given, url = text.partition("=")
    if not given or not name.isidentifier():
        raise InputError("expected --channel NAME=URL with a NAME of letters, digits and _")
    return name, from_argument(url, "--channel")


def config_text(
    name: str,
    user: str,
    at: VaultAt,
    local_keys: tuple[Path, ...],
    channels: dict[str, str],
) -> str:
    """Write TOML; JSON strings and lists are TOML ones too."""
    epochs = [EpochSecrets.load(path).epoch for path in local_keys]
    lines = [f"name = {json.dumps(name)}", f"user = {json.dumps(user)}"]
    lines += [f"vault_url = {json.dumps(at.url)}" if at.url else 'vault = "vault.sqlite"']
    if at.key_keyring:
        lines += [f"vault_key_keyring = {json.dumps(at.key_keyring)}"]
    elif at.key_env:
        lines += [f"vault_key_env = {json.dumps(at.key_env)}"]
    else:
        lines += ['vault_key = "keys/vault.key"']
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


def make_vault(config: Path, text: str, user: str, passphrase: bytes | None) -> Path | None:
    """Write the configuration, make what it names, and add the first user; return their key file.

    A vault on a server that others have made already is joined: it keeps its users.
    """
    descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        settings = load_toml(config, PartnerSettings)
        _make_key(settings)
        return _first_user(settings, user, passphrase)
    except BaseException:
        config.unlink()  # so that `init` can be tried again
        raise


def _make_key(settings: PartnerSettings) -> None:
    if settings.vault_key_keyring:
        generate_in_keyring(settings.vault_key_keyring)
    elif not settings.vault_key_env and not settings.vault_key.exists():
        generate_key(settings.vault_key)


def _first_user(settings: PartnerSettings, user: str, passphrase: bytes | None) -> Path | None:
    vault = open_vault(settings, create=True)
    try:
        with vault.write() as into:
            if users(into):
                return None
            file = None if passphrase else settings.user_keys / f"{user}.key"
            secret = passphrase or write_key_file(settings.user_keys / f"{user}.key")
            add_user(into, user, Role.SUPERVISOR, secret, from_ms(vault.clock()))
            return file
    finally:
        vault.close()


def remember_exchange(config: Path, found: DeconflictionKey | None) -> None:
    """Keep the exchange's deconfliction key in the vault, where one was handed over."""
    if found is None:
        return
    vault = open_vault(load_toml(config, PartnerSettings))
    try:
        with vault.write() as into:
            trust_exchange(into, found)
    finally:
        vault.close()


def login_name() -> str:
    """Return the login name in the form of a user's name."""
    kept = "".join(each for each in getpass.getuser().lower() if each.isalnum() or each in "._-")
    return kept if kept[:1].isalpha() else f"u{kept}"
