"""Which PRF and which epochs an organisation's configuration gives it: the `[blinding]` table."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.prf import EpochSecrets, LocalKey, Prf
from silenthit.errors import SettingsError


class BlindingSettings(BaseModel):
    """`local_keys` are epoch secret files of one development key holder, one file an epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    local_keys: tuple[Path, ...] = ()
    epochs: dict[int, EpochState] = {1: EpochState.CURRENT}


def open_prf(settings: BlindingSettings) -> Prf:
    """Return the PRF that the settings name. Raises SettingsError when they name none."""
    if not settings.local_keys:
        raise SettingsError(
            "expected `blinding.local_keys`; make a development key with `silenthit keyholder "
            "generate`"
        )
    return LocalKey([EpochSecrets.load(path) for path in settings.local_keys])


def open_epochs(settings: BlindingSettings) -> Epochs:
    """Return the state of every epoch."""
    return Epochs(settings.epochs)
