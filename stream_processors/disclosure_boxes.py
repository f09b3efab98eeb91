"""To whose keys the watch side of a disclosure is sealed: the partner's, and a court's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from pydantic import BaseModel, ConfigDict

from silenthit.blinding.disclosure_boxes import SealedTold, seal_told
from silenthit.blinding.disclosure_key import PublicKey


class DisclosureSettings(BaseModel):
    """`[disclosures]` of exchange.toml: X25519 public keys, in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partners: dict[str, PublicKey] = {}
    court: PublicKey | None = None

    def knowing(self, handed_over: Mapping[str, str]) -> Self:
        """Return the same with the keys that partners handed over; the file's own come first."""
        return self.model_copy(update={"partners": {**handed_over, **self.partners}})

    def sealed(self, partner: str, about: bytes, **ids: bytes) -> SealedTold:
        """Seal who was told of which of its registrations; `about` is the id that it is of."""
        content = {"partner": partner} | {name: value.hex() for name, value in ids.items()}
        return seal_told(content, about, [_key(self.partners.get(partner)), _key(self.court)])


def _key(text: str | None) -> X25519PublicKey | None:
    return None if text is None else X25519PublicKey.from_public_bytes(bytes.fromhex(text))
