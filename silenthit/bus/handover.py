"""The one file that the exchange hands to an organisation: its buses, its proof, its sender key.

`silenthit exchange onboard` writes it; `agency init`, `partner init` and the exchange's own workers
read it. Secret: mode 0600, and to be deleted once it is installed.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from schemas.topics import Bus, Role
from silenthit.blinding.deconfliction_key import DeconflictionKey
from silenthit.bus.rights import Principal
from silenthit.bus.settings import KafkaSettings
from silenthit.errors import InputError


class SenderSecret(BaseModel):
    """The key of an agency's messages: key id "<ORI>#<n>", secret 32 bytes in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key_id: str
    secret: SecretStr


class HandOver(BaseModel):
    """What the file says. `bus` holds librdkafka's properties with PEM texts in place."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str
    role: Role
    bus: dict[Bus, KafkaSettings] = Field(repr=False)
    sender: SenderSecret | None = None
    deconfliction: DeconflictionKey | None = None  # of the exchange; partners seal to it

    @property
    def principal(self) -> Principal:
        """Who the brokers will see."""
        return Principal(self.role, self.name)

    @classmethod
    def load(cls, path: Path, *roles: Role) -> Self:
        """Read a file made for one of these roles. Raises InputError for any other file."""
        try:
            found = cls.model_validate(tomllib.loads(path.read_text("utf-8")))
        except (OSError, ValueError, RecursionError):
            # Not chained: the reader's error quotes what it read.
            raise InputError(
                f"expected a hand-over file in {path}; ask the operator of the exchange to run "
                "`silenthit exchange onboard`"
            ) from None
        if roles and found.role not in roles:
            wanted = " or ".join(role.value for role in roles)
            raise InputError(
                f"expected a hand-over file for {wanted} in {path}, got one for "
                f"{found.role.value}; ask the operator of the exchange for the right one"
            )
        return found

    def save(self, path: Path) -> None:
        """Write a new file that its owner alone reads. Raises InputError when there is one."""
        lines = [f"name = {json.dumps(self.name)}", f"role = {json.dumps(self.role.value)}", ""]
        if self.sender:
            secret = self.sender.secret.get_secret_value()
            lines += ["[sender]", f"key_id = {json.dumps(self.sender.key_id)}"]
            lines += [f"secret = {json.dumps(secret)}", ""]
        if self.deconfliction:
            lines += ["[deconfliction]", f"key = {json.dumps(self.deconfliction.key)}"]
            lines += [f"settles_s = {self.deconfliction.settles_s}"]
            if self.deconfliction.watches:
                lines += [f"watches = {json.dumps(self.deconfliction.watches)}"]
            lines += [""]
        _write_private(path, "\n".join([*lines, bus_toml(self.bus)]))

    def install(self, folder: Path) -> str:
        """Put certificates and keys into `folder`/keys; return the `[bus.…]` tables to configure.

        Raises InputError when files of these names are there already.
        """
        (folder / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
        filed = {
            bus: settings.model_copy(update={"security": _filed(folder, bus, settings)})
            for bus, settings in self.bus.items()
        }
        return bus_toml(filed)


def _filed(folder: Path, bus: Bus, settings: KafkaSettings) -> dict[str, str]:
    """Move each PEM text into a file of its own; return the properties that name the files."""
    filed = {}
    for name, value in settings.security.items():
        if not name.endswith(".pem"):
            filed[name] = value
            continue
        piece = name.removesuffix(".pem")
        file = Path("keys") / f"{bus.value}-{piece.replace('.', '-')}.pem"
        _write_private(folder / file, value)
        filed[f"{piece}.location"] = str(file)
    return filed


def bus_toml(buses: Mapping[Bus, KafkaSettings]) -> str:
    """Return the `[bus.…]` tables of a configuration file."""
    lines = []
    for bus, settings in buses.items():  # a JSON string is a TOML one too
        servers = json.dumps(settings.bootstrap_servers)
        lines += [f"[bus.{bus.value}]", f"bootstrap_servers = {servers}", ""]
        if settings.security:
            lines += [f"[bus.{bus.value}.security]"]
            security = settings.security.items()
            lines += [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in security]
            lines += [""]
    return "\n".join(lines)


def _write_private(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"expected no file at {path}, got one; move it away") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
