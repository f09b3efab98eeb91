"""Registrations sealed to the matching workers: HPKE once a partner and epoch, AES-GCM for each.

    >>> private, public = fresh_key()
    >>> seal = WatchSeal.fresh(public, "fbi-ct", epoch=1)
    >>> place = Place("watches.fbi-ct", registration_key(bytes(16), 1), "fbi-ct")
    >>> message = seal.message(b"a registration", place)
    >>> WatchOpener({watch_key_id(public): private}).opened(message, place)
    b'a registration'

A nonce is 96 random bits, because a counter kept in a vault would repeat when the vault is restored
from its backup. `MOST_MESSAGES` bounds what one key seals, far below the 2^32 of SP 800-38D.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from schemas.messages import SealedRegistration, registration_key
from silenthit.blinding.envelope import LENGTH_BYTES, fresh_key
from silenthit.errors import InputError

KEY_BYTES = 32
NONCE_BYTES = 12
STEP_BYTES = 256  # what is sealed is padded to whole steps: the number of kinds does not show
MOST_MESSAGES = 2**30
MOST_REMEMBERED = 4_096  # content keys: a few for each partner
_ID_BYTES = 16
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_KEY_LABEL = b"silenthit/1/watch-key"
_CONTENT_LABEL = b"silenthit/1/watch-content-key"
_LABEL = b"silenthit/1/sealed-watch"

__all__ = [
    "MOST_MESSAGES",
    "Place",
    "WatchOpener",
    "WatchSeal",
    "fresh_key",
    "registration_key",
    "watch_key_id",
]


class Place(NamedTuple):
    """Where a sealed registration belongs; it opens nowhere else."""

    topic: str
    key: bytes  # the message's: registration id and epoch
    partner: str

    @property
    def associated(self) -> bytes:
        """What is authenticated beside the content; only the last part has no fixed width."""
        topic = self.topic.encode()
        return _LABEL + len(topic).to_bytes(2, "big") + topic + self.key + self.partner.encode()

    @property
    def epoch(self) -> int:
        """The epoch that the message's key ends with."""
        return int.from_bytes(self.key[_ID_BYTES:], "big")


def watch_key_id(public_key: bytes) -> bytes:
    """Name a public key of the exchange: 16 bytes."""
    return sha256(_KEY_LABEL + public_key).digest()[:_ID_BYTES]


@dataclass(frozen=True, slots=True)
class WatchSeal:
    """What a partner seals the registrations of one epoch with: one key of the exchange's."""

    watch_key: bytes  # id of the public key that it was made for
    key: bytes = field(repr=False)
    content_key: bytes = field(repr=False)  # that key, sealed to the public one

    @classmethod
    def fresh(cls, public_key: bytes, partner: str, epoch: int) -> Self:
        """Make a content key and seal it. Raises InputError for a public key that is none."""
        key = AESGCM.generate_key(8 * KEY_BYTES)
        try:
            public = X25519PublicKey.from_public_bytes(public_key)
            sealed = _SUITE.encrypt(key, public, _content_info(partner, epoch))
        except ValueError:
            raise InputError("expected an X25519 public key of 32 bytes, got another") from None
        return cls(watch_key_id(public_key), key, sealed)

    def message(self, registration: bytes, place: Place) -> SealedRegistration:
        """Seal an encoded registration to the place where it is going to stand."""
        nonce, framed = os.urandom(NONCE_BYTES), _framed(registration)
        sealed = AESGCM(self.key).encrypt(nonce, framed, place.associated)
        return SealedRegistration(
            watch_key=self.watch_key, content_key=self.content_key, sealed=nonce + sealed
        )


def _content_info(partner: str, epoch: int) -> bytes:
    return _CONTENT_LABEL + epoch.to_bytes(4, "big") + partner.encode()


def _framed(content: bytes) -> bytes:
    framed = len(content).to_bytes(LENGTH_BYTES, "big") + content
    return framed.ljust(-(-len(framed) // STEP_BYTES) * STEP_BYTES, b"\0")


class WatchOpener:
    """Opens registrations with the exchange's private keys. For one thread.

    A content key is opened once and remembered, which makes the others of its partner and epoch
    cheap.
    """

    def __init__(self, keys: Mapping[bytes, X25519PrivateKey]) -> None:
        """Take the private keys by the ids of their public ones; there may be more later."""
        self._keys = keys
        self._opened: dict[tuple[bytes, bytes, str, int], AESGCM | None] = {}

    def knows(self, watch_key: bytes) -> bool:
        """Whether the private key of this id is at hand."""
        return watch_key in self._keys

    def opened(self, message: SealedRegistration, place: Place) -> bytes | None:
        """Return the encoded registration; None when it was changed, or belongs elsewhere."""
        content = self._content_key(message, place) if self.knows(message.watch_key) else None
        if content is None:
            return None
        nonce, sealed = message.sealed[:NONCE_BYTES], message.sealed[NONCE_BYTES:]
        try:
            framed = content.decrypt(nonce, sealed, place.associated)
        except (InvalidTag, ValueError):
            return None
        return framed[LENGTH_BYTES : LENGTH_BYTES + int.from_bytes(framed[:LENGTH_BYTES], "big")]

    def _content_key(self, message: SealedRegistration, place: Place) -> AESGCM | None:
        asked = message.watch_key, message.content_key, place.partner, place.epoch
        if asked not in self._opened:
            if len(self._opened) >= MOST_REMEMBERED:
                self._opened.clear()
            self._opened[asked] = self._unsealed(message, place)
        return self._opened[asked]

    def _unsealed(self, message: SealedRegistration, place: Place) -> AESGCM | None:
        private, info = self._keys[message.watch_key], _content_info(place.partner, place.epoch)
        try:
            key = _SUITE.decrypt(message.content_key, private, info)
        except (InvalidTag, ValueError):
            return None
        return AESGCM(key) if len(key) == KEY_BYTES else None
