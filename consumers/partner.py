"""A partner's own machine, opened: settings, vault, clock; the rest only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.settings import PartnerSettings
from consumers.times import from_ms
from consumers.vault import PROCESS, Vault
from consumers.vault_keys import key_from_environment, key_from_keyring, load_key
from silenthit.errors import SettingsError
from silenthit.settings import load_toml

if TYPE_CHECKING:  # many commands need none of it, and it takes long to load
    from silenthit.blinding.epochs import Epochs
    from silenthit.blinding.prf import Prf
    from silenthit.call_tree.channels import Outlet
    from silenthit.call_tree.protocol import Protocol
    from silenthit.identity.model import Model


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
    model: Model | None = None  # of triage; none: the shipped one

    @property
    def who(self) -> str:
        """Who is signed in; nobody in a process of the partner's own."""
        return self.vault.actor.name

    def as_process(self) -> Partner:
        """Return the same partner at work by itself: sending, expiring, posting."""
        return replace(self, vault=self.vault.as_actor(PROCESS))

    def now(self) -> datetime:
        """The time, UTC."""
        return from_ms(self.clock())

    def clock(self) -> int:
        """The time in ms since the epoch, the same for all who share the vault."""
        return self.vault.clock()

    @contextmanager
    def blinding(self) -> Iterator[Blinding]:
        """Open the PRF of the settings for as long as the block lasts; it connects when asked."""
        from silenthit.blinding.access import (  # noqa: PLC0415 see above
            open_client,
            open_epochs,
            open_prf,
        )

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
        from silenthit.call_tree.channels import open_channel  # noqa: PLC0415 see above

        return {name: open_channel(name, each) for name, each in self.settings.channels.items()}

    def link(self, about: bytes, person: str) -> str:
        """Return the claim link of somebody, nothing where nobody answers by link."""
        from silenthit.call_tree.links import LinkSigner  # noqa: PLC0415 see above

        settings = self.settings.replies
        return LinkSigner.open(settings).link(about, person, self.now()) if settings else ""

    def check_channels(self, names: tuple[str, ...]) -> None:
        """Raise SettingsError for a channel that the settings do not name."""
        unknown = [name for name in names if name not in self.settings.channels]
        if unknown:
            known = ", ".join(self.settings.channels) or "none"
            raise SettingsError(
                f"expected channels of partner.toml ({known}), got {', '.join(unknown)}; add "
                f"[channels.{unknown[0]}] with its apprise url"
            )


def open_partner(config: Path, *, calls: bool = True) -> Partner:
    """Read `partner.toml` and open its vault, as the partner's own process.

    `calls`: channels and call tree are checked too. Raises SettingsError naming what is wrong.
    """
    settings = load_toml(config, PartnerSettings)
    partner = Partner(settings, open_vault(settings))
    if not calls:
        return partner
    from consumers.templates import check_channel  # noqa: PLC0415 see above
    from consumers.triage import open_model  # noqa: PLC0415 the same

    for name, channel in settings.channels.items():
        check_channel(name, channel)
    partner.check_channels(settings.deliver_to)
    model = open_model(settings.triage)
    return replace(partner, protocol=_sound_protocol(settings), model=model)


def open_vault(settings: PartnerSettings, *, create: bool = False) -> Vault:
    """Open the vault that the settings name with the key that they name."""
    url = settings.vault_url
    where = url.get_secret_value() if url is not None else settings.vault
    return Vault.open(where, vault_key(settings), create=create)


def vault_key(settings: PartnerSettings) -> bytes:
    """Read the vault's key from where the settings say. Raises SettingsError."""
    if settings.vault_key_keyring:
        return key_from_keyring(settings.vault_key_keyring)
    if settings.vault_key_env:
        return key_from_environment(settings.vault_key_env)
    return load_key(settings.vault_key)


def _sound_protocol(settings: PartnerSettings) -> Protocol | None:
    """Read the call tree, if there is one. Raises SettingsError when somebody could be missed."""
    if settings.protocol is None:
        return None
    from silenthit.call_tree.check import Weight, check_protocol  # noqa: PLC0415 see above
    from silenthit.call_tree.protocol import load_protocol  # noqa: PLC0415 the same

    protocol = load_protocol(settings.protocol)
    found = check_protocol(protocol, settings.channels, datetime.now(UTC))
    errors = [each.text for each in found if each.weight is Weight.ERROR]
    if errors:
        raise SettingsError(
            f"expected a sound protocol in {settings.protocol}, got {len(errors)} errors, the "
            f"first: {errors[0]}; see `silenthit protocol check`"
        )
    return protocol
