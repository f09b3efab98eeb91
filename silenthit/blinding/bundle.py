"""A key holder's bundle: what an organisation gets to ask it, and how it is kept.

A folder that `silenthit keyholder certify` writes: `key_holder.toml` (name, url, signer, and the
names of the files beside it), the CA's certificate, the organisation's own certificate and its key.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from silenthit.errors import InputError

BUNDLE_NAME = "key_holder.toml"


class KeyHolderSettings(BaseModel):
    """One key holder: where it is, how it proves itself, how this organisation does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")  # of the folder its files are kept in
    url: str = Field(pattern=r"^https://")
    signer: str = Field(pattern=r"^[0-9a-f]{64}$")  # public key that signs epoch documents, pinned
    ca: Path
    certificate: Path
    key: Path


def load_bundle(path: Path) -> KeyHolderSettings:
    """Read a bundle: its folder or its key_holder.toml. Raises InputError for anything else."""
    file = path / BUNDLE_NAME if path.is_dir() else path
    try:
        settings = KeyHolderSettings.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (OSError, ValueError, RecursionError):
        raise InputError(
            f"expected a key holder's bundle in {path}; ask the key holder for one "
            "(`silenthit keyholder certify`)"
        ) from None
    folder = file.parent.resolve()
    paths = {name: folder / getattr(settings, name) for name in ("ca", "certificate", "key")}
    return settings.model_copy(update=paths)


def install_bundle(bundle: Path, folder: Path) -> KeyHolderSettings:
    """Copy a bundle's files to `folder`/<key holder's name>/, readable by their owner alone.

    Returns settings with absolute paths. Raises InputError when the bundle lacks a file.
    """
    found = load_bundle(bundle)
    target = folder.resolve() / found.name
    for each in (folder, target):  # of parents it makes, mkdir leaves the mode to the umask
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths: dict[str, Path] = {}
    for name in ("ca", "certificate", "key"):
        source: Path = getattr(found, name)
        paths[name] = target / source.name
        try:
            content = source.read_bytes()
        except OSError:
            raise InputError(f"expected the file {source} of the bundle, got none") from None
        descriptor = os.open(paths[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    return found.model_copy(update=paths)


def key_holder_toml(key_holders: tuple[KeyHolderSettings, ...], relative_to: Path) -> str:
    """Return the `[[blinding.key_holders]]` tables of a configuration file in that folder."""
    return "\n".join(
        "[[blinding.key_holders]]\n" + bundle_toml(each, relative_to) for each in key_holders
    )


def bundle_toml(settings: KeyHolderSettings, relative_to: Path) -> str:
    """Return one key holder's settings as TOML lines, paths relative to a folder."""
    lines = [
        f'name = "{settings.name}"',
        f'url = "{settings.url}"',
        f'signer = "{settings.signer}"',
    ]
    for name in ("ca", "certificate", "key"):
        path = os.path.relpath(getattr(settings, name), relative_to.resolve())
        lines.append(f'{name} = "{path}"')
    return "\n".join(lines) + "\n"
