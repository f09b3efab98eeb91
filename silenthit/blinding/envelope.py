"""Seal to one asker's key, in one of few sizes: RFC 9180 base mode over padded content.

    >>> private, public = fresh_key()
    >>> open_sealed(private, seal_to(public, b"nothing found", b"about"), b"about")
    b'nothing found'

Whoever carries or keeps the sealed bytes sees which of three sizes they have, and nothing else.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from silenthit.errors import InputError, SealError

LENGTH_BYTES = 4
BUCKETS = (2**14, 2**16, 2**18)
MOST_BYTES = BUCKETS[-1] - LENGTH_BYTES
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_LABEL = b"silenthit/1/envelope"


def fresh_key() -> tuple[X25519PrivateKey, bytes]:
    """Return a key pair for one answer: the private key and the 32 bytes that are sent."""
    private = X25519PrivateKey.generate()
    return private, private.public_key().public_bytes_raw()


def seal_to(public_key: bytes, content: bytes, info: bytes) -> bytes:
    """Pad content to the next bucket and seal it to a public key; `info` binds it to its place.

    Raises InputError for more than the largest bucket holds, or for a key that is none.
    """
    framed = len(content).to_bytes(LENGTH_BYTES, "big") + content
    size = next((each for each in BUCKETS if len(framed) <= each), None)
    if size is None:
        raise InputError(f"expected at most {MOST_BYTES:,} bytes to seal, got {len(content):,}")
    try:
        key = X25519PublicKey.from_public_bytes(public_key)
        return _SUITE.encrypt(framed.ljust(size, b"\0"), key, _LABEL + info)
    except ValueError:
        raise InputError("expected an X25519 public key of 32 bytes, got another") from None


def open_sealed(private: X25519PrivateKey, sealed: bytes, info: bytes) -> bytes:
    """Undo `seal_to`. Raises SealError when it is for another key or place, or was changed."""
    try:
        framed = _SUITE.decrypt(sealed, private, _LABEL + info)
    except (InvalidTag, ValueError):
        raise SealError(
            "expected an answer sealed to this inquiry, got one that does not open; ask again, and "
            "report it to the exchange if it stays so"
        ) from None
    end = LENGTH_BYTES + int.from_bytes(framed[:LENGTH_BYTES], "big")
    return framed[LENGTH_BYTES:end]
