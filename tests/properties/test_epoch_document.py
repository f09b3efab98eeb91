"""An epoch document comes back as it was signed, and no other byte string is taken for one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from schemas.vocabulary import TokenClass
from silenthit.blinding.epoch_document import (
    EpochDocument,
    EpochEntry,
    signed_document,
    verified_document,
)
from silenthit.blinding.epochs import EpochState
from silenthit.errors import RefusedError

KEY = Ed25519PrivateKey.generate()
PINNED = KEY.public_key().public_bytes_raw()

entries = st.builds(
    EpochEntry,
    state=st.sampled_from(EpochState),
    public_keys=st.dictionaries(st.sampled_from(TokenClass), st.binary(min_size=32, max_size=32)),
)
documents = st.builds(
    EpochDocument,
    holder=st.text(max_size=40),
    version=st.integers(0, 2**40),
    issued_at=st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 bounds are naive
    epochs=st.dictionaries(st.integers(1, 2**32 - 1), entries, max_size=5),
)


@given(documents)
def test_comes_back(document: EpochDocument) -> None:
    assert verified_document(signed_document(document, KEY), PINNED) == document


@given(documents, st.data())
def test_any_changed_byte_of_the_document_is_refused(
    document: EpochDocument, data: st.DataObject
) -> None:
    content = bytearray(signed_document(document, KEY))
    inside = content.index(b'{\\"') + 2, content.rindex(b'", "signature"') - 2
    content[data.draw(st.integers(*inside))] ^= 1
    with pytest.raises(RefusedError):
        verified_document(bytes(content), PINNED)
