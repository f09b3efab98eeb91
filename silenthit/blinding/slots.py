"""The slot of a registration: one size, sealed to the deconflicting process, willing or not.

    >>> private, public = fresh_key()
    >>> place = slot_place(bytes(16), 1, "fbi-ct")
    >>> refusal = seal_slot(public, None, place)
    >>> len(refusal), open_slot(private, refusal, place)
    (4096, None)

Inside: whether the partner wants to be known to others who watch one of its subjects, from when
on that counts, and a card that the exchange carries and cannot read
(`silenthit.blinding.cards_shown`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from schemas.packing import CARD_LOCK
from silenthit.blinding.envelope import fresh_key
from silenthit.errors import InputError

SLOT_BYTES = 4096
KEY_BYTES = 32
BOX_BYTES = 540  # nonce 12, 512 of padded card, tag 16
MARK_BYTES = 16
_HPKE_BYTES = 48  # an ephemeral public key and a tag
_HEAD = Struct(f">BQ{MARK_BYTES}s{BOX_BYTES}sH")
_PLAIN_BYTES = SLOT_BYTES - _HPKE_BYTES
MOST_LOCKS = (_PLAIN_BYTES - _HEAD.size) // CARD_LOCK.itemsize
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_LABEL = b"silenthit/1/slot"

__all__ = ["MOST_LOCKS", "SLOT_BYTES", "Slot", "fresh_key", "open_slot", "seal_slot", "slot_place"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """What a willing partner says; a slot without it is a refusal."""

    counts_from: int  # ms: not before its legal basis is a day old
    mark: bytes = field(repr=False)  # 16 bytes: changes with the card and says nothing of it
    box: bytes = field(repr=False)  # the card, sealed
    locks: bytes = field(repr=False)  # rows of packing.CARD_LOCK


def slot_place(registration_id: bytes, epoch: int, partner: str) -> bytes:
    """What a slot is bound to: it opens in no other registration."""
    return registration_id + epoch.to_bytes(4, "big") + partner.encode()


def seal_slot(public_key: bytes | None, slot: Slot | None, place: bytes) -> bytes:
    """Seal willingness, or a refusal (None): 4,096 bytes, which only the private key tells apart.

    Without a public key it is sealed to one that nobody has: random bytes would be told apart,
    because no point of the curve looks like half of them. Raises InputError for a key that is none
    and for more locks than a slot holds.
    """
    plain = b"" if slot is None else _packed(slot)
    try:
        key = X25519PublicKey.from_public_bytes(public_key or fresh_key()[1])
        return _SUITE.encrypt(plain.ljust(_PLAIN_BYTES, b"\0"), key, _LABEL + place)
    except ValueError:
        raise InputError("expected an X25519 public key of 32 bytes, got another") from None


def _packed(slot: Slot) -> bytes:
    count = len(slot.locks) // CARD_LOCK.itemsize
    if count > MOST_LOCKS:
        raise InputError(f"expected at most {MOST_LOCKS} locks in a slot, got {count}")
    return _HEAD.pack(1, slot.counts_from, slot.mark, slot.box, count) + slot.locks


def open_slot(private: X25519PrivateKey, sealed: bytes, place: bytes) -> Slot | None:
    """Return what a willing partner says; None for a refusal and for what does not open here."""
    try:
        plain = _SUITE.decrypt(sealed, private, _LABEL + place)
    except (InvalidTag, ValueError):
        return None
    if len(plain) != _PLAIN_BYTES:
        return None
    willing, counts_from, mark, box, count = _HEAD.unpack_from(plain)
    if willing != 1 or count > MOST_LOCKS:
        return None
    locks = plain[_HEAD.size : _HEAD.size + count * CARD_LOCK.itemsize]
    return Slot(counts_from=counts_from, mark=mark, box=box, locks=locks)
