"""What sealing and opening share: key derivation, padding, and what a signature covers."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.messages import TouchHeader
from silenthit.errors import SealError

NONCE_BYTES = 12
KEY_BYTES = 32
SMALLEST_BUCKET = 256
LENGTH_BYTES = 4


def _derive(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def lock_key(header: TouchHeader, position: int, secrets: Sequence[bytes]) -> bytes:
    """Key that wraps a subject's root at one lock: 32 bytes from one or two token secrets.

    Bound to record id, revision and position, so a wrapped root fits nowhere else.
    """
    place = header.revision.to_bytes(4, "big") + position.to_bytes(2, "big")
    return _derive(b"".join(secrets), b"silenthit/1/lock" + header.record_id + place)


def grant_key(root: bytes, part: int, *, withheld: bool = False) -> bytes:
    """Key of the row that a subject has for a part.

    It wraps the part's content key or, where the sharing policy withholds the part, a random one:
    only the root's holder can tell the two apart, and that neither was changed on the way.
    """
    label = b"silenthit/1/withheld" if withheld else b"silenthit/1/part"
    return _derive(root, label + bytes([part]))


def associated_data(header: bytes, part: int) -> bytes:
    """What a sealed part is bound to: its number and the clear header's bytes."""
    return bytes([part]) + header


def pad(content: bytes) -> bytes:
    """Prefix the length and fill with zeros to a power of two, at least 256 bytes."""
    size = SMALLEST_BUCKET
    while size < LENGTH_BYTES + len(content):
        size *= 2
    return (len(content).to_bytes(LENGTH_BYTES, "big") + content).ljust(size, b"\0")


def unpad(padded: bytes) -> bytes:
    """Undo `pad`. Raises SealError when length or filling is not as `pad` makes it."""
    content = padded[LENGTH_BYTES : LENGTH_BYTES + int.from_bytes(padded[:LENGTH_BYTES], "big")]
    if pad(content) != padded:
        raise SealError(
            "expected a padded part, got other filling; ask the agency to publish again"
        )
    return content


def signed_digest(header: bytes, parts: Sequence[bytes]) -> bytes:
    """What the agency signs: the header and every sealed part before the signature's own."""
    digests = b"".join(sha256(part).digest() for part in parts)
    return b"silenthit/1/signature" + sha256(header).digest() + digests
