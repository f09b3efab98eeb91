"""Packed columns have the widths of the wire format and come back as they went in."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.packing import GRANT, LOCK, MATCH, NO_TOKEN, TOKEN, pack, rows

bytes_16 = st.binary(min_size=16, max_size=16)
bytes_40 = st.binary(min_size=40, max_size=40)
u8, u16 = st.integers(0, 255), st.integers(0, 65_535)

ROWS = [
    (TOKEN, 18, st.tuples(u8, u8, bytes_16)),
    (LOCK, 47, st.tuples(u16, u8, u16, u16, bytes_40)),
    (GRANT, 42, st.tuples(u8, u8, bytes_40)),
    (MATCH, 21, st.tuples(u16, u8, u8, u8, bytes_16)),
]
LAYOUTS = pytest.mark.parametrize(
    ("layout", "width", "row"), ROWS, ids=["token", "lock", "grant", "match"]
)


@LAYOUTS
@given(data=st.data())
def test_rows_come_back(
    layout: np.dtype[np.void], width: int, row: st.SearchStrategy, data: st.DataObject
) -> None:
    table = data.draw(st.lists(row, max_size=5))
    packed = pack(table, layout)
    assert len(packed) == width * len(table)
    back = [
        tuple(field.tobytes() if isinstance(field, np.void) else int(field) for field in each)
        for each in rows(packed, layout)
    ]
    assert back == table


@LAYOUTS
def test_half_rows_are_refused(
    layout: np.dtype[np.void], width: int, row: st.SearchStrategy
) -> None:
    for length in range(1, width):
        with pytest.raises(ValueError, match=f"whole rows of {width} bytes, got {length}"):
            rows(bytes(length), layout)


def test_numbers_are_little_endian_and_fields_have_no_gaps() -> None:
    packed = pack([(0x0102, 3, 0x0405, NO_TOKEN, b"w" * 40)], LOCK)
    assert packed == b"\x02\x01\x03\x05\x04\xff\xff" + b"w" * 40


def test_a_number_too_large_for_its_field_is_refused() -> None:
    with pytest.raises(struct.error):
        pack([(256, 1, bytes(16))], TOKEN)


def test_tokens_that_end_in_zeros_keep_them() -> None:
    packed = pack([(1, 1, b"a" + bytes(15))], TOKEN)
    assert rows(packed, TOKEN)[0]["token"].tobytes() == b"a" + bytes(15)
