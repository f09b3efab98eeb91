"""The vault's key: in a file of its owner's alone, an environment variable, or the OS keyring."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from silenthit.errors import InputError, SettingsError

KEY_BYTES = 32
_SERVICE = "silenthit"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def generate_key(path: Path) -> None:
    """Write a fresh vault key to a new file readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))


def load_key(path: Path) -> bytes:
    """Read the vault key. Raises SettingsError when it is missing, cut short or open to others."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            key = file.read()
    except OSError:
        raise SettingsError(
            f"expected the vault key in {path}; restore it from its backup, or begin a new vault "
            "with `silenthit partner init`"
        ) from None
    if mode & _OTHERS:
        raise SettingsError(
            f"expected the vault key {path} to be its owner's alone; run `chmod 600 {path}`"
        )
    if len(key) != KEY_BYTES:
        raise SettingsError(
            f"expected a vault key of {KEY_BYTES} bytes in {path}, got {len(key)}; restore it from "
            "its backup"
        )
    return key


def key_from_environment(name: str, environment: Mapping[str, str] = os.environ) -> bytes:
    """Read the vault key out of a variable, in hex. Raises SettingsError when it is not there."""
    return _from_hex(
        environment.get(name, ""),
        f"the variable {name}",
        f"export {name} with what your secret store holds; for a new vault: openssl rand -hex 32",
    )


def key_from_keyring(name: str) -> bytes:
    """Read the vault key out of the OS keyring. Raises SettingsError when it is not there."""
    keyring = _keyring()
    try:
        found = keyring.get_password(_SERVICE, name)
    except keyring.errors.KeyringError:
        found = None
    return _from_hex(
        found or "",
        f"the keyring as {_SERVICE}/{name}",
        "unlock the keyring, or restore the key from its backup",
    )


def generate_in_keyring(name: str) -> None:
    """Put a fresh vault key into the OS keyring. Raises SettingsError when it takes none."""
    keyring = _keyring()
    try:
        if keyring.get_password(_SERVICE, name) is not None:
            raise InputError(
                f"expected a new name in the keyring, got {name}, which holds a key already; "
                "choose another"
            )
        keyring.set_password(_SERVICE, name, secrets.token_bytes(KEY_BYTES).hex())
    except keyring.errors.KeyringError:
        raise SettingsError(
            "expected the OS keyring to take a key, it did not; unlock it, or keep the key in a "
            "file or a variable"
        ) from None


def _keyring() -> Any:
    try:
        import keyring  # noqa: PLC0415 only where it is used, and installed
        import keyring.errors  # noqa: PLC0415 the same
    except ModuleNotFoundError:
        raise SettingsError(
            "expected the module keyring, got none; run `pip install keyring`, or keep the vault's "
            "key in a file"
        ) from None
    return keyring


def _from_hex(text: str, where: str, remedy: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(f"expected the vault key ({KEY_BYTES} bytes, hex) in {where}; {remedy}")
    return key
