"""agency.toml: who the agency is, its keys, its outbox, what it shares and where it publishes."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from producers.operations import OperationLimits
from producers.pace import RECORDS_PER_S
from producers.sharing import SharingPolicy
from silenthit.blinding.access import BlindingSettings
from silenthit.blinding.sealing import Signer
from silenthit.bus.sender import SenderKey
from silenthit.bus.settings import KafkaSettings
from silenthit.call_tree.channels import ChannelSettings
from silenthit.call_tree.links import ReplySettings
from silenthit.errors import SettingsError

SECRET_BYTES = 32
SHORTEST_TOKEN = 20
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("expected a time zone of the IANA database, such as UTC") from None


class Model(BaseModel):
    """Settings are frozen, closed, and silent about values in errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, ignored_types=(cached_property,)
    )


class Keys(Model):
    """`[keys]`: files that only the agency may read. Losing `records` renames every record."""

    number: int = Field(default=1, ge=1)  # the <n> of the key id "<ORI>#<n>"
    records: Path = Path("keys/records.key")
    sender: Path = Path("keys/sender.key")
    outbox: Path = Path("keys/outbox.key")
    signing: Path = Path("keys/signing.pem")


class Buses(Model):
    """`[bus.agency]`: an agency knows one bus."""

    agency: KafkaSettings


class SourceSettings(Model):
    """What every `[[sources]]` entry has."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    every_s: float = Field(default=2.0, gt=0)
    mapping: Path | None = None
    history: bool = False  # backfill: goes behind live records, slowly, and pages nobody


class FolderSettings(SourceSettings):
    """A watched folder."""

    type: Literal["folder"]
    path: Path


class QuerySettings(SourceSettings):
    """A database that is polled. `url_env` names the environment variable that holds the URL."""

    type: Literal["sql"]
    every_s: float = Field(default=60.0, gt=0)
    url: SecretStr = SecretStr("")
    url_env: str = ""
    query: str
    modified: str
    since: datetime = datetime(1970, 1, 1)  # noqa: DTZ001 a database's own time, which has no zone
    overlap_s: float = Field(default=600.0, ge=0)

    @field_validator("query")
    @classmethod
    def _asks_since(cls, query: str) -> str:
        if ":since" not in query:
            raise ValueError("expected the parameter :since in the query")
        return query


class IntakeSettings(Model):
    """`[intake]`: HTTP, off the loopback only with TLS; by token or client certificate."""

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    token: Path | None = None  # file that holds the bearer token
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.token is None and self.client_ca is None:
            raise ValueError("expected `token` or `client_ca`: somebody must be asked who it is")
        if self.tls_certificate is None and (self.host not in LOOPBACK or self.client_ca):
            raise ValueError("expected `tls_certificate` and `tls_key` off the loopback")
        return self


class TipSettings(Model):
    """`[tips]`: who is called about a tip, and how long one is kept that is closed."""

    protocol: Path
    keep_closed_days: int = Field(default=365, ge=1)


class AgencySettings(Model):
    """The whole file."""

    ori: str = Field(pattern=r"^[A-Z0-9]{2,16}$")
    name: str = Field(min_length=1)
    area_code: str = Field(default="", pattern=r"^(\d{3})?$")
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    retention_years: int = Field(default=5, ge=1, le=99)
    read_narratives: bool = True  # count people and identifiers that only free text mentions
    outbox: Path = Path("outbox.db")
    signers: Path = Path("signers")  # signer.json of every agency whose cards a look-up may show
    outbox_max_mb: int = Field(default=10_240, ge=1)
    outbox_keep_days: int = Field(default=7, ge=0)  # published records, for `publish --again`
    history_per_s: float = Field(default=RECORDS_PER_S, gt=0)  # records of the slow lane
    canary: bool = True
    keys: Keys = Keys()
    sharing: SharingPolicy = SharingPolicy()
    blinding: BlindingSettings
    bus: Buses
    sources: tuple[Annotated[FolderSettings | QuerySettings, Field(discriminator="type")], ...] = ()
    intake: IntakeSettings | None = None
    operations: OperationLimits = OperationLimits()
    tips: TipSettings | None = None
    replies: ReplySettings | None = None  # where the tips' people answer by link
    channels: dict[str, ChannelSettings] = {}  # where the protocol's people are told
    metrics_port: int | None = Field(default=None, ge=0, le=65535)

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        if len({each.name for each in sources}) < len(sources):
            raise ValueError("expected names that differ")
        return sources

    @property
    def key_id(self) -> str:
        """Under which the exchange and the partners know this agency's keys."""
        return f"{self.ori}#{self.keys.number}"

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times that name none."""
        return ZoneInfo(self.timezone)

    def sender_key(self) -> SenderKey:
        """The key shared with the exchange, under its own id. Raises SettingsError."""
        return read_sender(self.keys.sender, self.key_id)

    def signer(self) -> Signer:
        """The key that partners verify. Raises SettingsError."""
        return Signer(self.key_id, read_signing_key(self.keys.signing))


def read_secret(path: Path) -> bytes:
    """Read 32 bytes, written in hex. Raises SettingsError naming the file."""
    try:
        secret = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError):
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise SettingsError(
            f"expected {SECRET_BYTES} bytes in hex in {path}; restore the file from a backup, or "
            "make new keys with `silenthit agency init`"
        )
    return secret


def read_sender(path: Path, key_id: str) -> SenderKey:
    """Read a sender key: `sender_text`, or 32 bytes in hex alone under this id.

    Raises SettingsError naming the file.
    """
    try:
        found = json.loads(path.read_text("ascii"))
        secret = bytes.fromhex(found["secret"])
        if len(secret) == SECRET_BYTES:
            return SenderKey(str(found["key_id"]), secret)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not in this form
    return SenderKey(key_id, read_secret(path))


def sender_text(key_id: str, secret: str) -> str:
    """Return what a sender key's file holds; `secret` in hex."""
    return json.dumps({"key_id": key_id, "secret": secret})


def read_token(path: Path) -> str:
    """Read the intake's bearer token. Raises SettingsError for none, or one too short."""
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, ValueError):
        token = ""
    if len(token) < SHORTEST_TOKEN:
        raise SettingsError(
            f"expected a token of at least {SHORTEST_TOKEN} characters in {path}; make one: "
            "openssl rand -hex 32"
        )
    return token


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read an Ed25519 private key in PEM. Raises SettingsError naming the file."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"expected an Ed25519 private key in PEM in {path}; restore the file")
    return key
