"""A partner's own machine, opened: settings, vault, clock; the rest only when asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from consumers.cells import load_key
from consumers.paging import Outlet
from consumers.settings import PartnerSettings
from consumers.templates import check_template
from consumers.vault import Vault
from silenthit.blinding.access import open_client, open_epochs, open_prf
from silenthit.blinding.epochs import Epochs
from silenthit.blinding.prf import Prf
from silenthit.call_tree.channels import AppriseChannel
from silenthit.call_tree.check import Weight, check_protocol
from silenthit.call_tree.protocol import Protocol, load_protocol
from silenthit.errors import SettingsError
from silenthit.settings import load_toml


@dataclass(frozen=True, slots=True)
class Blinding:
    """Who blinds for this partner, and the state of every epoch now."""

    prf: Prf
    epochs: Callable[[], Epochs]


@dataclass(frozen=True, slots=True)
class Partner:
    """What a command works with."""

    settings: PartnerSettings
    vault: Vault = field(repr=False)
    protocol: Protocol | None = None

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC)

    def clock(self) -> int:
        """The time in ms since the epoch."""
        return time.time_ns() // 1_000_000

    @contextmanager
    def blinding(self) -> Iterator[Blinding]:
        """Open the PRF of the settings for as long as the block lasts; it connects when asked."""
        settings = self.settings.blinding
        if not settings.key_holders:
            yield Blinding(open_prf(settings), lambda: open_epochs(settings))
            return
        client = open_client(settings)
        try:
            yield Blinding(client, client.epochs)
        finally:
            client.close()

    def outlets(self) -> Mapping[str, Outlet]:
        """Open every channel of the settings; nothing is sent."""
        return {
            name: Outlet(AppriseChannel(name, each.url), each)
            for name, each in self.settings.channels.items()
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
    for name, channel in settings.channels.items():
        check_template(name, channel)
    vault = Vault.open(settings.vault, load_key(settings.vault_key))
    partner = Partner(settings, vault, _sound_protocol(settings))
    partner.check_channels(settings.deliver_to)
    return partner


def _sound_protocol(settings: PartnerSettings) -> Protocol | None:
    """Read the call tree, if there is one. Raises SettingsError when somebody could be missed."""
    if settings.protocol is None:
        return None
    protocol = load_protocol(settings.protocol)
    found = check_protocol(protocol, settings.channels, datetime.now(UTC))
    errors = [each.text for each in found if each.weight is Weight.ERROR]
    if errors:
        raise SettingsError(
            f"expected a sound protocol in {settings.protocol}, got {len(errors)} errors, the "
            f"first: {errors[0]}; see `silenthit protocol check`"
        )
    return protocol
