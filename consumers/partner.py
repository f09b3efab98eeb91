"""A partner's own machine, opened: settings, vault, clock; the rest only when asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from silenthit.settings import load_toml

from consumers.cells import load_key
from consumers.channels import AppriseChannel, Channel
from consumers.settings import PartnerSettings
from consumers.vault import Vault
from silenthit.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Partner:
    """What a command works with."""

    settings: PartnerSettings
    vault: Vault = field(repr=False)

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC)

    def clock(self) -> int:
        """The time in ms since the epoch."""
        return time.time_ns() // 1_000_000

    def channels(self) -> Mapping[str, Channel]:
        """Open every channel of the settings; nothing is sent."""
        return {
            name: AppriseChannel(name, each.url) for name, each in self.settings.channels.items()
        }

    def check_channels(self, names: tuple[str, ...]) -> None:
        """Raise SettingsError for a channel that the settings do not name."""
        unknown = [name for name in names if name not in self.settings.channels]
        if unknown:
            known = ", ".join(self.settings.channels) or "none"
            raise SettingsError(
                f"expected channels of partner.toml ({known}), got {', '.join(unknown)}; add "
                f"[channels.{unknown[0]}] with its apprise url"
            )


def open_partner(config: Path) -> Partner:
    """Read `partner.toml` and open its vault. Raises SettingsError naming what is wrong."""
    settings = load_toml(config, PartnerSettings)
    place = settings.vault_url.get_secret_value() if settings.vault_url else settings.vault
    partner = Partner(settings, Vault.open(place, load_key(settings.vault_key)))
    partner.check_channels(settings.deliver_to)
    return partner
