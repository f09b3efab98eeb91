"""Seal the watch side of a disclosure: to the partner's key, and to a court's.

A box has one size whoever was told, and is random bytes where there is no key: it says nothing.
"""

from __future__ import annotations

import json
import os
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from pydantic import BaseModel, ConfigDict, Field

from silenthit.errors import InputError

CONTENT_BYTES = 256
BOX_BYTES = 32 + CONTENT_BYTES + 16  # encapsulated key, content, tag
LABEL = b"silenthit/1/disclosure"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

PublicKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DisclosureSettings(BaseModel):
    """`[disclosures]` of exchange.toml: X25519 public keys, in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partners: dict[str, PublicKey] = {}
    court: PublicKey | None = None

    def boxes(self, partner: str, about: bytes, **ids: bytes) -> tuple[bytes, bytes]:
        """Seal who was told of which of its registrations; `about` is the id that it is of."""
        content = {"partner": partner} | {name: value.hex() for name, value in ids.items()}
        plain = json.dumps(content, separators=(",", ":")).encode()
        return _box(self.partners.get(partner), plain, about), _box(self.court, plain, about)


def _box(key: str | None, plain: bytes, about: bytes) -> bytes:
    if len(plain) > CONTENT_BYTES:
        raise InputError(f"expected at most {CONTENT_BYTES} bytes in a box, got {len(plain)}")
    if key is None:
        return os.urandom(BOX_BYTES)
    public = X25519PublicKey.from_public_bytes(bytes.fromhex(key))
    return _SUITE.encrypt(plain.ljust(CONTENT_BYTES), public, LABEL + about)
