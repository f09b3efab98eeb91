"""The exchange's private keys that registrations are sealed to: a folder, one numbered file each.

Partners are handed the public half of the newest; the older ones stay until nothing is sealed to
them any more. Matching workers and the deconflicting process have the folder, nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from silenthit.blinding.sealed_watches import watch_key_id
from silenthit.certificates import write_private
from silenthit.errors import SettingsError

_SNAPSHOT_LABEL = b"silenthit/1/watch-snapshot"
_KEY_BYTES = 32

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WatchKey:
    """One private key and where it lies."""

    path: Path
    private: X25519PrivateKey = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> WatchKey:
        """Read a file. Raises SettingsError when it holds no key."""
        try:
            content = bytes.fromhex(path.read_text("utf-8").strip())
            return cls(path, X25519PrivateKey.from_private_bytes(content))
        except (OSError, ValueError):
            raise SettingsError(
                f"expected a watch key of the exchange in {path}, got none; copy it again from "
                "the host where `silenthit exchange watch-key new` made it"
            ) from None

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    @property
    def id(self) -> bytes:
        """What sealed registrations name it by, 16 bytes."""
        return watch_key_id(self.public)

    def snapshot_key(self, salt: bytes) -> bytes:
        """Derive the key of one snapshot on this host's disk: 32 bytes."""
        hkdf = HKDF(SHA256(), _KEY_BYTES, salt, _SNAPSHOT_LABEL)
        return hkdf.derive(self.private.private_bytes_raw())


class WatchKeys(Mapping[bytes, X25519PrivateKey]):
    """The keys by their ids. One that is asked for in vain is looked for in the folder again."""

    def __init__(self, folder: Path) -> None:
        """Read the folder; one that is not there holds no keys. Raises SettingsError."""
        self._folder = folder
        self._changed = _changed(folder)
        self._keys = _read(folder)

    @property
    def newest(self) -> WatchKey | None:
        """The key whose public half is handed out; none where there is no key."""
        return list(self._keys.values())[-1] if self._keys else None

    def file(self, key_id: bytes) -> WatchKey | None:
        """Return a key with its file, None when it is not there."""
        return self._keys.get(key_id) if key_id in self else None

    def __getitem__(self, key_id: bytes) -> X25519PrivateKey:
        """Return a private key by the id of its public one."""
        if key_id not in self._keys:
            self._reread()
        return self._keys[key_id].private

    def __iter__(self) -> Iterator[bytes]:
        """From the oldest to the newest."""
        return iter(self._keys)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._keys)

    def _reread(self) -> None:
        changed = _changed(self._folder)
        if changed == self._changed:
            return
        try:
            self._keys = _read(self._folder)
        except SettingsError:  # it may be on its way there still
            log.warning("watch keys not read", folder=str(self._folder))
        else:
            self._changed = changed


def _changed(folder: Path) -> int:
    return folder.stat().st_mtime_ns if folder.exists() else 0


def _read(folder: Path) -> dict[bytes, WatchKey]:
    keys = [WatchKey.load(path) for path in sorted(folder.glob("*.key"))]
    return {key.id: key for key in keys}


def make_watch_key(folder: Path) -> WatchKey:
    """Write a new private key, the newest from now on, for its owner alone."""
    numbers = [int(path.stem) for path in folder.glob("*.key") if path.stem.isdecimal()]
    path = folder / f"{max(numbers, default=0) + 1:04}.key"
    private = X25519PrivateKey.generate()
    write_private(path, private.private_bytes_raw().hex().encode() + b"\n")
    return WatchKey(path, private)
