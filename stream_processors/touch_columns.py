"""Read the encodings of many touches at once, as columns, without decoding any.

What a worker has to know of a touch that meets no watch (whose it is, its tokens, that its columns
can be what an agency sealed) stands in a few places of its encoding (Avro 1.12, binary encoding).
One pass of numpy over all the messages finds them. Whatever is not plain here, canonical or not, is
left to `admission.admit_touch`, which is the reference: it alone refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.codec import PREFIX_BYTES, prefix
from schemas.messages import SubjectTouch, TouchHeader
from schemas.packing import GRANT, LOCK, NO_TOKEN, TOKEN
from stream_processors.admission import ID_BYTES, SEALED_OVERHEAD, SMALLEST_BUCKET

Column = NDArray[Any]

MOST_PARTS = 63  # in one Avro block, as encoders write them: a count of one byte
_VARINT_BYTES = 4
_PADDING = 16  # zeros after the last message, so that a read at its end stays inside
_REVISION_AT = PREFIX_BYTES + ID_BYTES  # in a header


@dataclass(frozen=True, kw_only=True, slots=True)
class TouchColumns:
    """One row a message; places are byte offsets in the message's value. `plain`: worth reading."""

    plain: Column  # bool
    revision: Column
    tail_from: Column  # what the header says after the revision
    header_to: Column
    tokens_from: Column
    tokens_to: Column


def read_columns(values: Sequence[bytes], record_ids: bytes) -> TouchColumns:
    """Read whole values; `record_ids` are their keys, 16 bytes each, one after the other."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    ends = np.cumsum(lengths)
    reader = _Reader(b"".join([*values, bytes(_PADDING)]), ends - lengths, ends)
    reader.expect(prefix(SubjectTouch))
    header_from, header_to = reader.bytes_field()
    tokens_from, tokens_to = reader.bytes_field()
    locks_from, locks_to = reader.bytes_field()
    grants_from, grants_to = reader.bytes_field()
    parts = reader.parts()
    reader.ended()
    revision, tail_from = reader.header(header_from, record_ids)
    tokens = reader.whole(tokens_to - tokens_from, TOKEN.itemsize)
    reader.require(tokens > 0)
    reader.check_locks(locks_from, locks_to, tokens)
    reader.check_grants(grants_from, grants_to, parts)
    start = reader.starts
    return TouchColumns(
        plain=reader.plain,
        revision=revision,
        tail_from=tail_from - start,
        header_to=header_to - start,
        tokens_from=tokens_from - start,
        tokens_to=tokens_to - start,
    )


class _Reader:
    """Goes through all messages in step. A row that is not plain any more reads anything."""

    def __init__(self, joined: bytes, starts: Column, ends: Column) -> None:
        self.bytes = np.frombuffer(joined, np.uint8)
        self.starts, self._ends, self._at = starts, ends, starts
        self.plain: Column = np.ones(len(starts), np.bool_)

    def require(self, condition: Column) -> None:
        self.plain &= condition

    def expect(self, content: bytes) -> None:
        """Step over bytes that each message must have here."""
        self.require(self._holds(self._at, np.frombuffer(content, np.uint8)))
        self._step_to(self._at + len(content))

    def bytes_field(self) -> tuple[Column, Column]:
        """Step over an Avro `bytes`; return where its content begins and ends."""
        length, start = self._number(self._at)
        self._step_to(start + length)
        return start, self._at

    def parts(self) -> Column:
        """Step over the array of sealed parts, each of a size that sealing makes; return counts."""
        count, at = self._number(self._at)
        self.require((count > 0) & (count <= MOST_PARTS))
        self._step_to(at)
        for number in range(int(count[self.plain].max(initial=0))):
            there = number < count
            length, start = self._number(self._at)
            size = length - SEALED_OVERHEAD
            self.require(~there | ((size >= SMALLEST_BUCKET) & (size & (size - 1) == 0)))
            self._step_to(np.where(there, start + length, self._at))
        self.require(self.bytes[self._at] == 0)  # the block after the last is empty
        self._step_to(self._at + 1)
        return count

    def ended(self) -> None:
        """Require that the message ends here."""
        self.require(self._at == self._ends)

    def header(self, start: Column, record_ids: bytes) -> tuple[Column, Column]:
        """Read prefix, record id and revision of the headers."""
        start = np.where(self.plain, start, 0)
        self.require(self._holds(start, np.frombuffer(prefix(TouchHeader), np.uint8)))
        keys = np.frombuffer(record_ids, np.uint8).reshape(-1, ID_BYTES)
        self.require(self._holds(start + PREFIX_BYTES, keys))
        return self._number(start + _REVISION_AT)

    def whole(self, length: Column, row: int) -> Column:
        """Return how many rows of a packed column fit into its length, and require no rest."""
        count = length // row
        self.require(count * row == length)
        return count

    def check_locks(self, start: Column, end: Column, tokens: Column) -> None:
        """Require that every lock names tokens that are there."""
        at, owner = self._rows(start, self.whole(end - start, LOCK.itemsize), LOCK.itemsize)
        first = self._u16(at + LOCK.fields["first"][1])  # type: ignore[index]
        second = self._u16(at + LOCK.fields["second"][1])  # type: ignore[index]
        count = tokens[owner]
        self._none(owner[(first >= count) | ((second >= count) & (second != NO_TOKEN))])

    def check_grants(self, start: Column, end: Column, parts: Column) -> None:
        """Require that every grant names a part that is there."""
        at, owner = self._rows(start, self.whole(end - start, GRANT.itemsize), GRANT.itemsize)
        self._none(owner[self.bytes[at + GRANT.fields["part"][1]] >= parts[owner]])  # type: ignore[index]

    def _rows(self, start: Column, count: Column, size: int) -> tuple[Column, Column]:
        """Return the place of every row of a packed column, and the message it is of."""
        count = np.where(self.plain, count, 0)
        owner = np.repeat(np.arange(len(count)), count)
        before = np.cumsum(count) - count
        at = start[owner] + size * (np.arange(len(owner)) - before[owner])
        return at, owner

    def _none(self, owners: Column) -> None:
        self.plain[owners] = False

    def _u16(self, at: Column) -> Column:
        number: Column = self.bytes[at].astype(np.int64)
        number |= self.bytes[at + 1].astype(np.int64) << 8
        return number

    def _holds(self, at: Column, content: Column) -> Column:
        width = content.shape[-1]
        rows: Column = np.lib.stride_tricks.sliding_window_view(self.bytes, width)
        found: Column = (rows[np.minimum(at, len(rows) - 1)] == content).all(axis=1)
        return found

    def _step_to(self, at: Column) -> None:
        """Go on there; a row that would leave its message is not plain, and stays at its end."""
        self.require(at <= self._ends)
        self._at = np.minimum(at, self._ends)

    def _number(self, at: Column) -> tuple[Column, Column]:
        """Read a non-negative Avro int at these places; return it and the place after it."""
        value = np.zeros(len(at), np.int64)
        more = np.ones(len(at), np.bool_)
        for place in range(_VARINT_BYTES):
            byte = self.bytes[np.minimum(at, len(self.bytes) - 1)].astype(np.int64)
            value |= np.where(more, (byte & 0x7F) << (7 * place), 0)
            at = at + more
            more = more & (byte >= 0x80)  # noqa: PLR2004 the bit that says that more follows
            if not more.any():
                break
        self.require(~more & (value & 1 == 0))  # zigzag: odd ones are negative
        return value >> 1, at
