"""Who sent it: an HMAC-SHA256 under the sending organisation's key, beside every touch.

Kafka stamps no principal on a message. The code covers topic-independent content: the record id,
the revision of a tombstone, and the value's exact bytes; it travels in the headers `sender`, `mac`
and, for a tombstone, `revision`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from schemas.topics import HEADER_MAC, HEADER_REVISION, HEADER_SENDER

_BLOCK = 64  # of SHA-256; secrets are 32 bytes
MOST_REVISION_DIGITS = 9  # so that it fits four bytes

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class SenderKey:
    """The key an organisation and the exchange share; `key_id` is "<ORI>#<n>", secret 32 bytes."""

    key_id: str
    secret: bytes = field(repr=False)

    @property
    def organisation(self) -> str:
        """The ORI before the number."""
        return self.key_id.partition("#")[0]


def _code(key: SenderKey, record_id: bytes, value: bytes | None, revision: int | None) -> bytes:
    kind = b"touch" if value is not None else b"tombstone"
    number = (revision or 0).to_bytes(4, "big")
    framed = b"silenthit/1/sender" + bytes([len(kind)]) + kind + number
    framed += len(record_id).to_bytes(2, "big") + record_id + (value or b"")
    return hmac.digest(key.secret, framed, "sha256")


class TouchCodes:
    """One sender's codes of many touches: what they have in common is hashed once (RFC 2104)."""

    def __init__(self, key: SenderKey, id_bytes: int) -> None:
        """Prepare for record ids of this length."""
        self.key = key
        secret = key.secret.ljust(_BLOCK, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in secret))
        self._inner.update(b"silenthit/1/sender\x05touch" + bytes(4) + id_bytes.to_bytes(2, "big"))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in secret))

    def agrees(self, record_id: bytes, value: bytes, code: bytes) -> bool:
        """Whether this is the sender's code of a touch."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(record_id + value)
        outer.update(inner.digest())
        return hmac.compare_digest(outer.digest(), code)


def sender_headers(
    key: SenderKey, record_id: bytes, value: bytes | None, revision: int | None = None
) -> Headers:
    """Return the Kafka headers for a touch, or for a tombstone (value None, with its revision)."""
    headers: Headers = (
        (HEADER_SENDER, key.key_id.encode()),
        (HEADER_MAC, _code(key, record_id, value, None if value is not None else revision)),
    )
    if value is None:
        headers += ((HEADER_REVISION, str(revision).encode()),)
    return headers


def verified_sender(
    keys: Mapping[str, SenderKey],
    record_id: bytes,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]] | Mapping[str, bytes | None],
) -> SenderKey | None:
    """Return the key whose organisation sent this message, None when it can't be proven."""
    found = dict(headers)
    key = keys.get((found.get(HEADER_SENDER) or b"").decode("ascii", "replace"))
    if key is None:
        return None
    revision = tombstone_revision(found) if value is None else None
    if value is None and revision is None:
        return None
    expected = _code(key, record_id, value, revision)
    return key if hmac.compare_digest(expected, found.get(HEADER_MAC) or b"") else None


def tombstone_revision(headers: Mapping[str, bytes | None]) -> int | None:
    """The revision that a tombstone carries, None when missing or no number."""
    text = headers.get(HEADER_REVISION) or b""
    return int(text) if text.isdigit() and len(text) <= MOST_REVISION_DIGITS else None
