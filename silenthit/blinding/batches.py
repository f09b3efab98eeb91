"""What an organisation and a key holder say to each other: blinded elements, and nothing else.

    request   "SHQ1" epoch u32, batch id 16, then for each class: class u8, count u16, elements
    answer    "SHA1" epoch u32, batch id 16, then for each class: class u8, count u16, output

Big-endian. An element is a compressed ristretto255 point, 32 bytes; an output is the evaluated
elements followed by one batch proof, 64 bytes (RFC 9497, 2.2.1). A batch id is the time in
milliseconds (u64) and 8 random bytes, so that the key holder refuses a replay with a short memory.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.vocabulary import TokenClass
from silenthit.errors import InputError

ELEMENT_BYTES = 32
PROOF_BYTES = 64
ID_BYTES = 16
MOST_ELEMENTS = 1024  # one batch evaluates for some 70 ms, and others wait meanwhile
BATCH_WINDOW_MS = 300_000
MEDIA_TYPE = "application/vnd.silenthit.batch"
PURPOSE_HEADER = "SilentHit-Purpose"
EVALUATE_PATH = "/v1/evaluate"
EPOCHS_PATH = "/v1/epochs"

_HEAD = struct.Struct(f">4sI{ID_BYTES}s")
_SECTION = struct.Struct(">BH")
_CLASSES = frozenset(TokenClass)
_REQUEST, _ANSWER = b"SHQ1", b"SHA1"
MOST_BYTES = _HEAD.size + len(TokenClass) * _SECTION.size + MOST_ELEMENTS * ELEMENT_BYTES


class Purpose(StrEnum):
    """Which allowance a batch is charged to."""

    LIVE = "live"
    BACKFILL = "backfill"


class Cause(StrEnum):
    """Why a key holder refuses; an answer of status 4xx is {"cause", "message", …}."""

    CERTIFICATE_REVOKED = "certificate_revoked"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_UNKNOWN = "certificate_unknown"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"  # with `most`: how many elements a batch may have
    REPLAYED = "replayed"
    STALE = "stale"
    EPOCH_UNKNOWN = "epoch_unknown"
    EPOCH_DESTROYED = "epoch_destroyed"
    QUOTA = "quota"  # with `after_s`
    NO_BOOKING = "no_booking"


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Blinded elements (request) or evaluated elements and proof (answer) of each class."""

    epoch: int
    batch_id: bytes
    sections: Mapping[TokenClass, bytes]


def new_batch_id(now_ms: int) -> bytes:
    """Return the id of a batch sent now."""
    return now_ms.to_bytes(8, "big") + secrets.token_bytes(ID_BYTES - 8)


def batch_time_ms(batch_id: bytes) -> int:
    """When the organisation says it sent the batch."""
    return int.from_bytes(batch_id[:8], "big")


def encode_request(batch: Batch) -> bytes:
    """Pack blinded elements."""
    return _encode(_REQUEST, batch, extra=0)


def encode_answer(batch: Batch) -> bytes:
    """Pack outputs: evaluated elements and their proof."""
    return _encode(_ANSWER, batch, extra=PROOF_BYTES)


def decode_request(packed: bytes) -> Batch:
    """Unpack blinded elements. Raises InputError for anything but a whole request."""
    return _decode(_REQUEST, packed, extra=0)


def decode_answer(packed: bytes) -> Batch:
    """Unpack outputs. Raises InputError for anything but a whole answer."""
    return _decode(_ANSWER, packed, extra=PROOF_BYTES)


def elements(section: bytes) -> Sequence[bytes]:
    """Cut a section of a request into its elements."""
    return [section[i : i + ELEMENT_BYTES] for i in range(0, len(section), ELEMENT_BYTES)]


def count(section: bytes) -> int:
    """How many elements a section of a request has."""
    return len(section) // ELEMENT_BYTES


def _encode(magic: bytes, batch: Batch, *, extra: int) -> bytes:
    packed = [_HEAD.pack(magic, batch.epoch, batch.batch_id)]
    for of, content in batch.sections.items():
        packed += (_SECTION.pack(of, (len(content) - extra) // ELEMENT_BYTES), content)
    return b"".join(packed)


def _decode(magic: bytes, packed: bytes, *, extra: int) -> Batch:
    found, epoch, batch_id = (
        _HEAD.unpack_from(packed) if len(packed) > _HEAD.size else (b"", 0, b"")
    )
    at, sections = _HEAD.size, dict[TokenClass, bytes]()
    whole: bool = found == magic
    while whole and at < len(packed):
        start = at + _SECTION.size
        number, many = _SECTION.unpack(packed[at:start].ljust(_SECTION.size, b"\0"))
        at = start + many * ELEMENT_BYTES + extra
        whole = number in _CLASSES and number not in sections and many > 0 and at <= len(packed)
        if whole:
            sections[TokenClass(number)] = packed[start:at]
    if not whole:
        raise InputError(
            "expected a batch as silenthit/blinding/batches.py packs it, got other bytes; "
            "check that both sides run the same version"
        )
    return Batch(epoch=epoch, batch_id=batch_id, sections=sections)
