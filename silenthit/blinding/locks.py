"""What sealing and opening share: key derivation, padding, and what a signature covers."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from schemas.messages import TouchHeader
from silenthit.errors import SealError

NONCE_BYTES = 12
KEY_BYTES = 32
SMALLEST_BUCKET = 256
LENGTH_BYTES = 4
_HASH_BLOCK = 64
_INNER_PAD, _OUTER_PAD = (bytes(each ^ pad for each in range(256)) for pad in (0x36, 0x5C))
_EXTRACT_INNER = sha256(_INNER_PAD[:1] * _HASH_BLOCK)
_EXTRACT_OUTER = sha256(_OUTER_PAD[:1] * _HASH_BLOCK)


def derived(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt, 32 bytes of one block: HMAC(HMAC(0, secret), info 1).

    A touch derives a key for each of its locks. Written out, with the hash states of the empty salt
    made once, that takes a third of what setting up HKDF each time does.
    """
    key = _extracted(secret)
    expanded = sha256(key.translate(_INNER_PAD) + info + b"\1").digest()
    return sha256(key.translate(_OUTER_PAD) + expanded).digest()


def _extracted(secret: bytes) -> bytes:
    inner, outer = _EXTRACT_INNER.copy(), _EXTRACT_OUTER.copy()
    inner.update(secret)
    outer.update(inner.digest())
    return outer.digest().ljust(_HASH_BLOCK, b"\0")


def derived_many(secret: bytes, infos: Sequence[bytes]) -> list[bytes]:
    """`derived` of one secret for each of these, which has the secret hashed once."""
    key = _extracted(secret)
    inside, outside = sha256(key.translate(_INNER_PAD)), sha256(key.translate(_OUTER_PAD))
    found = []
    for info in infos:
        inner, outer = inside.copy(), outside.copy()
        inner.update(info + b"\1")
        outer.update(inner.digest())
        found.append(outer.digest())
    return found


def lock_key(header: TouchHeader, position: int, secrets: Sequence[bytes]) -> bytes:
    """Key that wraps a subject's root at one lock: 32 bytes from one or two token secrets.

    Bound to record id, revision and position, so a wrapped root fits nowhere else.
    """
    return derived(b"".join(secrets), lock_label(header) + position.to_bytes(2, "big"))


def lock_label(header: TouchHeader) -> bytes:
    """What the keys of one touch's locks are derived with, in front of a lock's position."""
    return b"silenthit/1/lock" + header.record_id + header.revision.to_bytes(4, "big")


def grant_key(root: bytes, part: int, *, withheld: bool = False) -> bytes:
    """Key of the row that a subject has for a part.

    It wraps the part's content key or, where the sharing policy withholds the part, a random one:
    only the root's holder can tell the two apart, and that neither was changed on the way.
    """
    return derived(root, grant_label(part, withheld=withheld))


def grant_label(part: int, *, withheld: bool) -> bytes:
    """What the key of a subject's row for a part is derived with."""
    return (b"silenthit/1/withheld" if withheld else b"silenthit/1/part") + bytes([part])


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
    return digests_signed(header, b"".join(sha256(part).digest() for part in parts))


def digests_signed(header: bytes, digests: bytes) -> bytes:
    """What the agency signs, from the digests of the sealed parts: 32 bytes each, in order."""
    return b"silenthit/1/signature" + sha256(header).digest() + digests
