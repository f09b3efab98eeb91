"""A bitmap of token prefixes: whether anybody may hold a token, at one memory access a token.

One bit for each value that the first bits of a token can take. It is never wrong about a token
that is there; of those that are not, one in twelve or fewer pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS_AN_ENTRY = 12
_SMALLEST = 16
_LARGEST = 36  # 8 GiB
_WORD = 64

# A byte of the bitmap with every bit doubled: what it is after one more bit of prefix.
_DOUBLED = np.array(
    [sum(0b11 << (2 * bit) for bit in range(8) if byte >> bit & 1) for byte in range(256)], "<u2"
)


class PrefixFilter:
    """Tokens by the first of their halves (u64, as numbers)."""

    def __init__(self) -> None:
        """Start empty, at 8 KiB."""
        self._bits = _SMALLEST
        self._table = np.zeros(1 << (_SMALLEST - 3), np.uint8)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._table.nbytes

    def reserve(self, entries: int) -> None:
        """Grow so that this many entries leave most bits clear; what is set stays set."""
        while self._bits < _LARGEST and entries * BITS_AN_ENTRY > 1 << self._bits:
            self._table = _DOUBLED[self._table].view(np.uint8)
            self._bits += 1

    def add(self, first: NDArray[Any]) -> None:
        """Set the bits of these tokens."""
        at = self._places(first)
        np.bitwise_or.at(self._table, at >> 3, (1 << (at & 7)).astype(np.uint8))

    def may_hold(self, first: NDArray[Any]) -> NDArray[Any]:
        """Return, for each token, 0 when nobody holds it."""
        at = self._places(first)
        found: NDArray[Any] = (self._table[at >> 3] >> (at & 7).astype(np.uint8)) & np.uint8(1)
        return found

    def rewrite(self, low: int, top: int, runs: Sequence[NDArray[Any]]) -> None:
        """Make the bits from `low` up to `top` those of the tokens in these sorted runs, no more.

        Where the range does not begin and end with a byte of the bitmap, bits are only added.
        """
        shift = _WORD - self._bits
        start, end = low >> shift, top >> shift
        inside = [run[_between(run, low, top)] for run in runs]
        if (start | end) & 7 or low & ((1 << shift) - 1) or top & ((1 << shift) - 1):
            for run in inside:
                self.add(run)
            return
        bits = np.zeros(end - start, np.bool_)
        for run in inside:
            bits[self._places(run) - start] = True
        self._table[start >> 3 : end >> 3] = np.packbits(bits, bitorder="little")

    def _places(self, first: NDArray[Any]) -> NDArray[np.int64]:
        # As i64, which numpy indexes with as it is: u64 it would convert once more.
        return (first >> np.uint64(_WORD - self._bits)).view(np.int64)


def _between(run: NDArray[Any], low: int, top: int) -> slice:
    end = len(run) if top >> _WORD else int(np.searchsorted(run, np.uint64(top)))
    return slice(int(np.searchsorted(run, np.uint64(low))), end)
