"""Which PRF and which epochs an organisation's configuration gives it: the `[blinding]` table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from silenthit.blinding.bundle import (
    KeyHolderSettings,
    install_bundle,
    key_holder_toml,
    load_bundle,
)
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.errors import SettingsError

if TYPE_CHECKING:
    from silenthit.blinding.key_holder_client import KeyHolderClient
    from silenthit.blinding.prf import Prf

__all__ = [
    "BlindingSettings",
    "KeyHolderSettings",
    "install_bundle",
    "key_holder_toml",
    "load_bundle",
    "open_blinding",
    "open_client",
    "open_epochs",
    "open_prf",
]


class BlindingSettings(BaseModel):
    """Either `local_keys` (development) or `key_holders`, one, or two with split trust.

    `local_keys` are epoch secret files of one development key holder, one file an epoch; `epochs`
    are their states. Key holders declare their epochs themselves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    local_keys: tuple[Path, ...] = ()
    epochs: dict[int, EpochState] = {1: EpochState.CURRENT}
    key_holders: tuple[KeyHolderSettings, ...] = ()  # in the order that all have agreed on
    backfill: bool = False  # charge to the booking for old records, after live traffic
    cache_size: int = Field(default=16_384, ge=0)  # tokens kept in memory


def open_prf(settings: BlindingSettings) -> Prf:
    """Return the PRF that the settings name. Raises SettingsError when they name none, or two."""
    if settings.key_holders:
        return open_client(settings)
    if not settings.local_keys:
        raise SettingsError(
            "expected `blinding.key_holders` or `blinding.local_keys`; ask the key holder for a "
            "bundle, or make a development key with `silenthit keyholder generate`"
        )
    from silenthit.blinding.prf import EpochSecrets, LocalKey  # noqa: PLC0415 settings do without

    return LocalKey([EpochSecrets.load(path) for path in settings.local_keys])


def open_epochs(settings: BlindingSettings) -> Epochs:
    """Return the state of every epoch, as it is now.

    Asks the key holders, if there are any: RetryError when one is away.
    """
    if not settings.key_holders:
        return Epochs(settings.epochs)
    client = open_client(settings)
    try:
        return client.epochs()
    finally:
        client.close()


@contextmanager
def open_blinding(settings: BlindingSettings) -> Iterator[tuple[Prf, Epochs]]:
    """Open the PRF and the epochs' states for the length of a block. Raises as the two above."""
    if not settings.key_holders:
        yield open_prf(settings), open_epochs(settings)
        return
    client = open_client(settings)
    try:
        yield client, client.epochs()
    finally:
        client.close()


def open_client(settings: BlindingSettings) -> KeyHolderClient:
    """Return the client of the key holders; nothing connects yet.

    It is a `Prf`, and its `epochs()` stays up to date: use it where a process runs for long.
    """
    from silenthit.blinding.batches import Purpose  # noqa: PLC0415 only who asks loads TLS
    from silenthit.blinding.holder_link import HolderLink  # noqa: PLC0415
    from silenthit.blinding.key_holder_client import KeyHolderClient  # noqa: PLC0415

    if settings.local_keys:
        raise SettingsError("expected `key_holders` or `local_keys` in `blinding`, got both")
    links = [
        HolderLink(
            name=each.name,
            url=each.url,
            ca=each.ca,
            certificate=each.certificate,
            key=each.key,
            signer=bytes.fromhex(each.signer),
            purpose=Purpose.BACKFILL if settings.backfill else Purpose.LIVE,
        )
        for each in settings.key_holders
    ]
    return KeyHolderClient(links, cache_size=settings.cache_size)
