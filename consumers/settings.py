"""What a partner is configured with: `partner.toml`."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from schemas.topics import ALERTS
from silenthit.blinding.access import BlindingSettings
from silenthit.bus.clients import KafkaSettings


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BusSettings(_Frozen):
    """A partner's watches and alerts are on one cluster; it asks look-ups on the agencies'."""

    partner: KafkaSettings
    agency: KafkaSettings | None = None


class ChannelSettings(_Frozen):
    """Where alerts are posted: an apprise URL, which usually holds a token and so is a secret."""

    url: SecretStr
    title: str | None = None  # templates, see consumers.templates
    body: str | None = None
    subject_data: bool = False  # whether its templates may quote the record


class TriageSettings(_Frozen):
    """How sure triage must be: a model of the partner's own, and probabilities in its stead."""

    model: Path | None = None  # made by `silenthit partner estimate-model`; none: the shipped one
    hit: float | None = None  # from this probability on an alert is a hit; none: the model's
    possible: float | None = None  # below it, discarded


class PartnerSettings(_Frozen):
    """`partner.toml`; relative paths count from the folder it lies in."""

    name: str
    bus: BusSettings
    blinding: BlindingSettings
    vault: Path = Path("vault.sqlite")
    vault_key: Path = Path("keys/vault.key")
    channels: dict[str, ChannelSettings] = {}
    deliver_to: tuple[str, ...] = ()  # channels of a watch that names none
    protocol: Path | None = None  # the call tree
    triage: TriageSettings = TriageSettings()

    @field_validator("name")
    @classmethod
    def _usable(cls, name: str) -> str:
        ALERTS.of(name)
        return name
