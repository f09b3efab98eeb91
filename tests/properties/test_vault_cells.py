from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.cells import Cells
from silenthit.errors import SealError

keys = st.binary(min_size=32, max_size=32)
names = st.text(max_size=20)
places = st.tuples(names, names, st.binary(max_size=40))


@given(key=keys, place=places, content=st.binary(max_size=2000))
def test_a_cell_opens_to_what_was_closed(
    key: bytes, place: tuple[str, str, bytes], content: bytes
) -> None:
    cells = Cells(key)
    assert cells.open(*place, cells.close(*place, content)) == content


@given(key=keys, place=places, other=places, content=st.binary(min_size=1, max_size=200))
def test_a_cell_opens_nowhere_else(
    key: bytes, place: tuple[str, str, bytes], other: tuple[str, str, bytes], content: bytes
) -> None:
    cells = Cells(key)
    cell = cells.close(*place, content)
    if place != other:
        with pytest.raises(SealError):
            cells.open(*other, cell)


@given(key=keys, place=places, content=st.binary(max_size=60), data=st.data())
def test_any_changed_or_missing_byte_is_noticed(
    key: bytes, place: tuple[str, str, bytes], content: bytes, data: st.DataObject
) -> None:
    cells = Cells(key)
    cell = cells.close(*place, content)
    at = data.draw(st.integers(0, len(cell) - 1))
    changed = cell[:at] + bytes([cell[at] ^ data.draw(st.integers(1, 255))]) + cell[at + 1 :]
    for each in (changed, cell[:at]):
        with pytest.raises(SealError):
            cells.open(*place, each)
