"""Custody of the secrets: evaluating with them, behind an interface that an HSM can implement."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from voprf import ristretto

from schemas.vocabulary import TokenClass
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.errors import InputError, SettingsError

_PR_SET_DUMPABLE = 4  # prctl(2)


class Custody(Protocol):
    """Whoever holds the secrets of every epoch and evaluates with them."""

    def public_keys(self, epoch: int) -> dict[TokenClass, bytes]:
        """Return the public key (32 bytes) of each class."""
        ...

    def evaluate(self, epoch: int, of: TokenClass, elements: Sequence[bytes]) -> bytes:
        """Return the evaluated elements and one batch proof (RFC 9497 BlindEvaluate).

        Raises InputError for an element that is no point of the group.
        """
        ...

    def forget(self, epoch: int) -> None:
        """Drop what is held of an epoch in memory."""
        ...


class FileCustody:
    """Secrets in files readable by this user alone, one file an epoch."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of the secrets; nothing is read until it is needed."""
        self._folder = folder
        self._evaluators: dict[tuple[int, TokenClass], ristretto.Evaluator] = {}

    def path(self, epoch: int) -> Path:
        """Where an epoch's secrets rest."""
        return self._folder / f"epoch-{epoch}.json"

    def generate(self, epoch: int) -> None:
        """Make the secrets of a new epoch."""
        self.keep(EpochSecrets.generate(epoch))

    def keep(self, secrets: EpochSecrets) -> None:
        """Write secrets made elsewhere (a backup, a development key) into custody."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        secrets.save(self.path(secrets.epoch))

    def read(self, epoch: int) -> EpochSecrets:
        """Read an epoch's secrets. Raises SettingsError when others may read the file too."""
        path = self.path(epoch)
        try:
            mode = path.stat().st_mode
        except OSError:
            raise SettingsError(f"expected secrets of epoch {epoch}, got none at {path}") from None
        if mode & 0o077:
            raise SettingsError(
                f"expected {path} readable by its owner alone, got mode {mode & 0o777:o}; run "
                f"`chmod 600 {path}` and ask who has read it"
            )
        return EpochSecrets.load(path)

    def public_keys(self, epoch: int) -> dict[TokenClass, bytes]:
        """Return the public key (32 bytes) of each class."""
        return {of: self._evaluator(epoch, of).public_key.serialize() for of in TokenClass}

    def evaluate(self, epoch: int, of: TokenClass, elements: Sequence[bytes]) -> bytes:
        """Return the evaluated elements and one batch proof. Raises InputError for no point."""
        try:
            points = [ristretto.BlindedInput.deserialize(each) for each in elements]
        except ValueError:
            raise InputError(
                "expected elements of the group ristretto255, got other bytes; update the client"
            ) from None
        output: bytes = self._evaluator(epoch, of).evaluate_batch(points).serialize()
        return output

    def forget(self, epoch: int) -> None:
        """Drop the evaluators of an epoch; the library zeroises a key as it drops it."""
        for of in TokenClass:
            self._evaluators.pop((epoch, of), None)

    def erase(self, epoch: int) -> None:
        """Overwrite and remove an epoch's secrets."""
        self.forget(epoch)
        erase_file(self.path(epoch))

    def _evaluator(self, epoch: int, of: TokenClass) -> ristretto.Evaluator:
        found = self._evaluators.get((epoch, of))
        if found is None:
            secrets = self.read(epoch)
            self._evaluators.update({(epoch, each): secrets.evaluator(each) for each in TokenClass})
            found = self._evaluators[epoch, of]
        return found


def erase_file(path: Path) -> None:
    """Overwrite a file with random bytes, flush and remove it; fine when it is gone already.

    A journal, a snapshot or a flash disk may still hold the old blocks: docs/keyholder.md says how
    to place the files so that this does not matter.
    """
    try:
        with path.open("r+b", buffering=0) as file:
            file.write(os.urandom(path.stat().st_size))
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    path.unlink()


def shield_process() -> None:
    """Allow no core dump and no reading of this process's memory by others of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
