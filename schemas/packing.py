"""Layouts of the packed columns: fixed-width rows, little-endian, read as numpy arrays unread.

    TOKEN  subject u8, kind u8, token 16 bytes                                    18 bytes
    LOCK   position u16, subject u8, first u16, second u16, wrapped root 40       47 bytes
    GRANT  subject u8, part u8, wrapped part key 40                               42 bytes
    MATCH  index u16, touch subject u8, watch subject u8, kind u8, token 16       21 bytes
    CARD_LOCK  first u16, second u16, wrapped root 40                             44 bytes
    CARD_KEY   position u16, first token 16, second token 16, wrapped root 40     74 bytes

`first` and `second` of a lock and `index` of a match are row numbers in the touch's tokens; a lock
for one strong token has `second` = NO_TOKEN. A CARD_LOCK names rows of a registration's tokens, a
CARD_KEY the tokens themselves; for one strong token its second is zeros.
"""

from __future__ import annotations

from functools import cache
from itertools import starmap
from struct import Struct

import numpy as np
from numpy.typing import NDArray

TOKEN_BYTES = 16
NO_TOKEN = 0xFFFF
MAX_TOKENS = 0xFFFE
UNCOUNTED = 0xFF  # in Alert.carriers: nobody counted who holds this token

TOKEN = np.dtype([("subject", "u1"), ("kind", "u1"), ("token", f"V{TOKEN_BYTES}")])
LOCK = np.dtype(
    [
        ("position", "<u2"),
        ("subject", "u1"),
        ("first", "<u2"),
        ("second", "<u2"),
        ("wrapped", "V40"),
    ]
)
GRANT = np.dtype([("subject", "u1"), ("part", "u1"), ("wrapped", "V40")])
MATCH = np.dtype(
    [
        ("index", "<u2"),
        ("touch_subject", "u1"),
        ("watch_subject", "u1"),
        ("kind", "u1"),
        ("token", f"V{TOKEN_BYTES}"),
    ]
)
CARD_LOCK = np.dtype([("first", "<u2"), ("second", "<u2"), ("wrapped", "V40")])
CARD_KEY = np.dtype(
    [
        ("position", "<u2"),
        ("first", f"V{TOKEN_BYTES}"),
        ("second", f"V{TOKEN_BYTES}"),
        ("wrapped", "V40"),
    ]
)


def rows(packed: bytes, layout: np.dtype) -> NDArray[np.void]:
    """View packed bytes as rows of a layout, without copying.

    Raises ValueError when the length is not a whole number of rows.
    """
    if len(packed) % layout.itemsize:
        raise ValueError(
            f"expected whole rows of {layout.itemsize} bytes, got {len(packed)} bytes in all"
        )
    return np.frombuffer(packed, dtype=layout)


def pack(records: list[tuple[int | bytes, ...]], layout: np.dtype) -> bytes:
    """Pack tuples, one a row, into the bytes of a layout. Raises struct.error for what is none."""
    return b"".join(starmap(_row(layout).pack, records))


@cache
def _row(layout: np.dtype) -> Struct:
    """A row of a layout for `struct`, which makes bytes of tuples far faster than an array does."""
    columns = [layout[name] for name in layout.names or ()]
    return Struct("<" + "".join(f"{c.itemsize}s" if c.kind == "V" else c.char for c in columns))
