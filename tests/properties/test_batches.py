"""What an organisation and a key holder say to each other comes back as it was sent."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.vocabulary import TokenClass
from silenthit.blinding.batches import (
    ELEMENT_BYTES,
    ID_BYTES,
    PROOF_BYTES,
    Batch,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from silenthit.errors import InputError


def batches(extra: int) -> st.SearchStrategy[Batch]:
    counts = st.dictionaries(st.sampled_from(TokenClass), st.integers(1, 5), min_size=1)
    return st.builds(
        lambda epoch, batch_id, sizes, fill: Batch(
            epoch=epoch,
            batch_id=batch_id,
            sections={
                of: bytes([fill]) * (size * ELEMENT_BYTES + extra) for of, size in sizes.items()
            },
        ),
        st.integers(0, 2**32 - 1),
        st.binary(min_size=ID_BYTES, max_size=ID_BYTES),
        counts,
        st.integers(0, 255),
    )


@given(batches(0))
def test_requests_come_back(batch: Batch) -> None:
    assert decode_request(encode_request(batch)) == batch


@given(batches(PROOF_BYTES))
def test_answers_come_back(batch: Batch) -> None:
    assert decode_answer(encode_answer(batch)) == batch


@given(batches(0), st.data())
def test_every_cut_is_refused_or_fewer_whole_sections(batch: Batch, data: st.DataObject) -> None:
    packed = encode_request(batch)
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]
    with contextlib.suppress(InputError):
        assert len(decode_request(cut).sections) < len(batch.sections)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(packed: bytes) -> None:
    with pytest.raises(InputError):
        decode_request(b"XXXX" + packed)


def test_an_answer_is_no_request() -> None:
    section = {TokenClass.ITEM: bytes(ELEMENT_BYTES + PROOF_BYTES)}
    with pytest.raises(InputError):
        decode_request(encode_answer(Batch(epoch=1, batch_id=bytes(16), sections=section)))
