"""The epochs as signed documents in files say, read again whenever a file is replaced.

For those who need the states but must never ask a key holder: the exchange.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from silenthit.blinding.epoch_document import EpochDocument, agreed_epochs, verified_document
from silenthit.blinding.epochs import EpochState
from silenthit.errors import RefusedError, SettingsError

LOOK_AGAIN_S = 0.5


class EpochFeed(Mapping[int, EpochState]):
    """The states of every epoch, by its number, always as the files say now; for `Epochs(feed)`.

    A file that is gone, unsigned or older than the one read before changes nothing: what was read
    last stays in force.
    """

    def __init__(
        self,
        documents: Sequence[tuple[Path, bytes]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take each key holder's document and pinned signer (32 bytes), in the agreed order.

        Raises SettingsError for a file that can't be read, RefusedError for one not signed.
        """
        self._sources = tuple(documents)
        self._clock = clock
        self._read: list[EpochDocument] = [_read(path, signer) for path, signer in documents]
        self._states = dict(agreed_epochs(self._read).states)
        self._looked = clock()

    def __getitem__(self, epoch: int) -> EpochState:
        return self._now()[epoch]

    def __iter__(self) -> Iterator[int]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def _now(self) -> dict[int, EpochState]:
        if self._clock() - self._looked >= LOOK_AGAIN_S:
            self._looked = self._clock()
            for number, (path, signer) in enumerate(self._sources):
                try:
                    found = _read(path, signer)
                except (SettingsError, RefusedError):
                    continue
                if found.version > self._read[number].version:
                    self._read[number] = found
            self._states = dict(agreed_epochs(self._read).states)
        return self._states


def _read(path: Path, signer: bytes) -> EpochDocument:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"expected a key holder's epoch document in {path}, got: {error.strerror}; fetch it "
            "from the key holder (`silenthit keyholder document`)"
        ) from None
    return verified_document(content, signer)
