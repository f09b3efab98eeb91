"""What a partner is configured with: `partner.toml`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from schemas.topics import ALERTS
from silenthit.blinding.access import BlindingSettings
from silenthit.bus.settings import KafkaSettings
from silenthit.call_tree.channels import ChannelSettings
from silenthit.call_tree.durations import Duration
from silenthit.call_tree.links import ReplySettings


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BusSettings(_Frozen):
    """A partner speaks to one cluster only: what it looks up depends on whom it watches, too."""

    partner: KafkaSettings


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
    vault_url: SecretStr | None = None  # a PostgreSQL that a squad shares, in place of the file
    vault_key: Path = Path("keys/vault.key")
    vault_key_env: str = ""  # a variable that holds the key (hex), in place of the file
    vault_key_keyring: str = ""  # its name in the OS keyring, in place of both
    user: str = ""  # who works with this file where no --as says so
    user_keys: Path = Path("keys/users")  # NAME.key for each user who signs in with a file
    channels: dict[str, ChannelSettings] = {}
    deliver_to: tuple[str, ...] = ()  # channels of a watch that names none
    protocol: Path | None = None  # the call tree
    replies: ReplySettings | None = None  # where people answer by link
    canary_missed_after: Duration = timedelta(hours=2)
    triage: TriageSettings = TriageSettings()

    @field_validator("name")
    @classmethod
    def _usable(cls, name: str) -> str:
        ALERTS.of(name)
        return name
