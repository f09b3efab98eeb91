"""What a key holder is told: its address, its files, its quotas, when to raise an alarm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from schemas.vocabulary import TokenClass
from silenthit.settings import load_toml

CONFIG_NAME = "keyholder.toml"


class Quota(BaseModel):
    """How many elements of one class an organisation may have evaluated.

    Refilled evenly at `per_minute`, up to `burst` at once (as much as a minute's unless given); not
    more than `per_day` in a UTC day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_minute: int = Field(ge=1)
    per_day: int = Field(ge=1)
    burst: int = Field(default=0, ge=0)

    @property
    def capacity(self) -> int:
        """The most that may be asked at once."""
        return self.burst or self.per_minute


# A county of a million records some 4,000 subjects on a busy day, at 18 match keys each.
_DEFAULT = Quota(per_minute=6_000, per_day=300_000, burst=12_000)
# Fifty planned operations a day; a country is soon searched for where one is, so no more.
_PLACES = Quota(per_minute=6_000, per_day=60_000, burst=12_000)


class ClassQuotas(BaseModel):
    """An organisation's quota for each class of match keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    person: Quota = _DEFAULT
    item: Quota = _DEFAULT
    place_time: Quota = _PLACES

    def of(self, token_class: TokenClass) -> Quota:
        """Return the quota of one class."""
        quota: Quota = getattr(self, token_class.name.lower())
        return quota


class Quotas(BaseModel):
    """`default`, and what is agreed with single organisations instead."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: ClassQuotas = ClassQuotas()
    organisations: Mapping[str, ClassQuotas] = {}

    def of(self, organisation: str) -> ClassQuotas:
        """Return what an organisation may ask."""
        return self.organisations.get(organisation, self.default)


class AlarmSettings(BaseModel):
    """An hour is far more than usual above `factor` times the organisation's own median hour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: float = Field(default=8.0, gt=1)
    floor: int = Field(default=2_000, ge=1)  # elements an hour that are never worth an alarm
    past_days: int = Field(default=28, ge=1)


class KeyHolderConfig(BaseModel):
    """The file keyholder.toml; paths are relative to its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    host: str = "127.0.0.1"
    port: int = Field(default=8443, ge=0, le=65535)
    url: str = Field(pattern=r"^https://")
    metrics_port: int | None = None  # plain HTTP on the loopback interface alone
    secrets: Path = Path("secrets")
    epochs: Path = Path("epochs.json")
    database: Path = Path("keyholder.db")
    signer_key: Path = Path("signer.key")
    tls_certificate: Path = Path("tls/server.crt")
    tls_key: Path = Path("tls/server.key")
    client_ca: Path = Path("ca/ca.crt")
    client_ca_key: Path = Path("ca/ca.key")  # the development CA; none where certificates come
    #                                          from elsewhere
    quotas: Quotas = Quotas()
    alarm: AlarmSettings = AlarmSettings()


def load_config(path: Path) -> KeyHolderConfig:
    """Read keyholder.toml. Raises SettingsError naming the file and the key."""
    return load_toml(path, KeyHolderConfig)
