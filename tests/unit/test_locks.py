"""Key derivation, padding and the signed digest: distinct for distinct places."""

from __future__ import annotations

from itertools import combinations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from silenthit.blinding.locks import (
    associated_data,
    derived,
    grant_key,
    lock_key,
    pad,
    signed_digest,
    unpad,
)
from silenthit.errors import SealError
from tests.vectors.touches import HEADER

SECRET, OTHER = bytes(range(32)), bytes(range(32, 64))


def all_different(values: list[bytes]) -> bool:
    return all(a != b for a, b in combinations(values, 2))


def test_a_lock_key_is_of_one_record_revision_position_and_secrets_in_order() -> None:
    record = HEADER.model_copy(update={"record_id": bytes(16)})
    revision = HEADER.model_copy(update={"revision": 4})
    keys = [
        lock_key(HEADER, 0, [SECRET]),
        lock_key(HEADER, 1, [SECRET]),
        lock_key(record, 0, [SECRET]),
        lock_key(revision, 0, [SECRET]),
        lock_key(HEADER, 0, [OTHER]),
        lock_key(HEADER, 0, [SECRET, OTHER]),
        lock_key(HEADER, 0, [OTHER, SECRET]),
    ]
    assert {len(key) for key in keys} == {32}
    assert all_different(keys)


def test_a_grant_key_is_of_one_root_and_part_given_or_withheld() -> None:
    keys = [
        grant_key(SECRET, 0),
        grant_key(SECRET, 1),
        grant_key(SECRET, 0, withheld=True),
        grant_key(SECRET, 1, withheld=True),
        grant_key(OTHER, 0),
    ]
    assert all_different(keys)


@given(st.binary(max_size=3000))
def test_padding_comes_off(content: bytes) -> None:
    padded = pad(content)
    assert unpad(padded) == content
    assert len(padded) >= 256
    assert len(padded) & (len(padded) - 1) == 0
    assert len(padded) == 256 or len(padded) // 2 < len(content) + 4


@given(st.binary(max_size=300), st.data())
def test_other_filling_length_or_size_is_refused(content: bytes, data: st.DataObject) -> None:
    padded = bytearray(pad(content))
    place = data.draw(st.integers(len(content) + 4, len(padded) - 1) | st.integers(0, 3))
    padded[place] ^= data.draw(st.integers(1, 255))
    original = bytes(padded)
    try:
        changed = unpad(original)
    except SealError:
        return
    assert pad(changed) == original  # only a length that turns zeros into content, or back


@pytest.mark.parametrize("padded", [b"", b"\0", bytes(255), bytes(257), bytes(512), b"\xff" * 256])
def test_what_is_no_padding_is_refused(padded: bytes) -> None:
    with pytest.raises(SealError):
        unpad(padded)


@given(st.binary(max_size=40), st.lists(st.binary(max_size=9), max_size=4))
def test_a_signature_covers_header_order_and_borders_of_parts(
    header: bytes, parts: list[bytes]
) -> None:
    digest = signed_digest(header, parts)
    assert digest != signed_digest(header + b"\0", parts)
    assert digest != signed_digest(header, [*parts, b""])
    joined = [b"".join(parts)]
    assert (digest == signed_digest(header, joined)) == (parts == joined)


def test_associated_data_tells_parts_and_headers_apart() -> None:
    assert associated_data(b"header", 0) != associated_data(b"header", 1)
    assert associated_data(b"header", 0) != associated_data(b"other", 0)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_derived_key_is_hkdf_of_any_secret(secret: bytes, info: bytes) -> None:
    expected = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)
    assert derived(secret, info) == expected
