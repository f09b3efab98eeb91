"""The watch side of a disclosure: sealed in boxes, and committed to, so that an owner can prove it.

    sealed = seal_told({"partner": "fbi", "registration": "…"}, about=record_id, keys=[fbi, None])
    told = open_box(sealed.boxes[0], private_key, about=record_id)
    told.commitment() == sealed.commitment

A box has one size whatever it says, and is random bytes where there is no key. The commitment is
SHA-256 over a random opening, which lies in the boxes, and what was said: it tells nothing by
itself, and whoever shows the opening can show nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from silenthit.errors import InputError

OPENING_BYTES = 32
COMMITMENT_BYTES = 32
CONTENT_BYTES = 320
BOX_BYTES = 32 + CONTENT_BYTES + 16  # encapsulated key, content, tag
LABEL = b"silenthit/1/disclosure"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class Told:
    """What a box says: to whom something was told, and of which of its registrations."""

    content: Mapping[str, str] = field(repr=False)
    opening: bytes = field(repr=False)

    def commitment(self) -> bytes:
        """Return what stands in clear beside the boxes."""
        return sha256(LABEL + self.opening + _packed(self.content)).digest()


@dataclass(frozen=True, slots=True)
class SealedTold:
    """The boxes, one a key, and the commitment to what they say."""

    boxes: tuple[bytes, ...] = field(repr=False)
    commitment: bytes = field(repr=False)


def seal_told(
    content: Mapping[str, str], about: bytes, keys: Sequence[X25519PublicKey | None]
) -> SealedTold:
    """Seal who was told, for each key; `about` is the id that it is of.

    Raises InputError for more than a box has room for.
    """
    told = Told(content, os.urandom(OPENING_BYTES))
    plain = _packed({**content, "opening": told.opening.hex()})
    if len(plain) > CONTENT_BYTES:
        raise InputError(f"expected at most {CONTENT_BYTES} bytes in a box, got {len(plain)}")
    padded = plain.ljust(CONTENT_BYTES)
    boxes = tuple(
        os.urandom(BOX_BYTES) if key is None else _SUITE.encrypt(padded, key, LABEL + about)
        for key in keys
    )
    return SealedTold(boxes, told.commitment())


def open_box(box: bytes, key: X25519PrivateKey, about: bytes) -> Told | None:
    """Open a box; None where it is another's, or nobody's."""
    try:
        content = json.loads(_SUITE.decrypt(box, key, LABEL + about))
        opening = bytes.fromhex(content.pop("opening"))
    except (InvalidTag, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Told(content, opening)


def _packed(content: Mapping[str, str]) -> bytes:
    return json.dumps(dict(sorted(content.items())), separators=(",", ":")).encode()
