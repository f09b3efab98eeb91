"""The life of an epoch: prepared, current, draining, reading, destroyed; each step by command.

Every step issues the epoch document anew, signed, and is logged. A running service reads the new
document within a second.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from key_holder import log
from key_holder.custody import FileCustody
from key_holder.database import transaction
from key_holder.settings import KeyHolderConfig
from silenthit.blinding.epoch_document import (
    EpochDocument,
    EpochEntry,
    signed_document,
    verified_document,
)
from silenthit.blinding.epochs import EpochState
from silenthit.errors import InputError, SettingsError


def load_signer(path: Path) -> Ed25519PrivateKey:
    """Read the key that signs epoch documents (hex). Raises SettingsError naming the file."""
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip()))
    except (OSError, ValueError):
        raise SettingsError(f"expected the signer's key in {path}, got none") from None


def signer_public(key: Ed25519PrivateKey) -> bytes:
    """Return what clients pin: 32 bytes."""
    return key.public_key().public_bytes_raw()


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifecycle:
    """What the steps need: where the document is, who signs it, who has the secrets, the book."""

    config: KeyHolderConfig
    custody: FileCustody
    book: sqlite3.Connection
    signer: Ed25519PrivateKey

    def document(self) -> EpochDocument:
        """Return the document in force. Raises RefusedError when it is not this signer's."""
        if not self.config.epochs.exists():
            raise SettingsError(
                f"expected an epoch document in {self.config.epochs}, got none; run "
                "`silenthit keyholder init`"
            )
        return verified_document(self.config.epochs.read_bytes(), signer_public(self.signer))

    def begin(self, epoch: int) -> EpochDocument:
        """Issue the first document, whose one epoch is current; its secrets are in custody."""
        entry = EpochEntry(state=EpochState.CURRENT, public_keys=self.custody.public_keys(epoch))
        document = EpochDocument(
            holder=self.config.name, version=0, issued_at=datetime.now(UTC), epochs={}
        )
        return self._issue(document, {epoch: entry}, "begun", epoch)

    def prepare(self) -> EpochDocument:
        """Make the secrets of the next epoch; partners retoken their watches into it."""
        document = self.document()
        waiting = _in_state(document, EpochState.PREPARED)
        if waiting:
            raise InputError(
                f"expected no prepared epoch, got {waiting[0]}; `silenthit keyholder rotate` makes "
                "it current"
            )
        epoch = max(document.epochs) + 1
        if not self.custody.path(epoch).exists():  # else a step that was cut off goes on
            self.custody.generate(epoch)
        entry = EpochEntry(state=EpochState.PREPARED, public_keys=self.custody.public_keys(epoch))
        return self._issue(document, {epoch: entry}, "prepared", epoch)

    def rotate(self) -> EpochDocument:
        """Make the prepared epoch current, and the current one draining."""
        document = self.document()
        waiting = _in_state(document, EpochState.PREPARED)
        if not waiting:
            raise InputError(
                "expected a prepared epoch, got none; run `silenthit keyholder prepare` and give "
                "partners time for `silenthit watch retoken`"
            )
        changed = {waiting[0]: _moved(document, waiting[0], EpochState.CURRENT)}
        for epoch in _in_state(document, EpochState.CURRENT):
            changed[epoch] = _moved(document, epoch, EpochState.DRAINING)
        return self._issue(document, changed, "rotated", waiting[0])

    def retire(self, epoch: int) -> EpochDocument:
        """Close a draining epoch to touches: from now on it is for looking back."""
        document = self._expect(epoch, EpochState.DRAINING)
        changed = {epoch: _moved(document, epoch, EpochState.READING)}
        return self._issue(document, changed, "retired", epoch)

    def destroy(self, epoch: int) -> EpochDocument:
        """Erase the secrets of a reading epoch, for good, once no backup of them is left.

        The document is issued first, so that a crash between the two leaves nothing usable that
        is declared gone: calling it again finishes the erasing.
        """
        document = self.document()
        if epoch in _in_state(document, EpochState.DESTROYED):
            self.custody.erase(epoch)
            return document
        self._expect(epoch, EpochState.READING)
        kept = self.book.execute(
            "SELECT count(*) FROM backups WHERE epoch = ? AND destroyed_at IS NULL", (epoch,)
        ).fetchone()[0]
        if kept:
            raise InputError(
                f"expected no backup of epoch {epoch} left, got {kept}; destroy each with "
                "`silenthit keyholder backup destroy`"
            )
        changed = {epoch: EpochEntry(state=EpochState.DESTROYED, public_keys={})}
        document = self._issue(document, changed, "destroyed", epoch)
        self.custody.erase(epoch)
        return document

    def _expect(self, epoch: int, state: EpochState) -> EpochDocument:
        document = self.document()
        entry = document.epochs.get(epoch)
        if entry is None or entry.state is not state:
            found = entry.state.value if entry else "unknown"
            raise InputError(
                f"expected epoch {epoch} to be {state.value}, got {found}; see "
                "`silenthit keyholder status`"
            )
        return document

    def _issue(
        self, document: EpochDocument, changed: dict[int, EpochEntry], event: str, epoch: int
    ) -> EpochDocument:
        now = datetime.now(UTC)
        issued = replace(
            document,
            version=document.version + 1,
            issued_at=now,
            epochs={**document.epochs, **changed},
        )
        with transaction(self.book):
            log.append(self.book, now.timestamp(), event, epoch=epoch, version=issued.version)
            _replace_file(self.config.epochs, signed_document(issued, self.signer))
        return issued


def _in_state(document: EpochDocument, state: EpochState) -> list[int]:
    return sorted(epoch for epoch, entry in document.epochs.items() if entry.state is state)


def _moved(document: EpochDocument, epoch: int, state: EpochState) -> EpochEntry:
    return replace(document.epochs[epoch], state=state)


def _replace_file(path: Path, content: bytes) -> None:
    """Write beside and rename, so that a reader sees the old or the new file, whole."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
