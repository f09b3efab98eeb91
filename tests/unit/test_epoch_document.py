"""The epoch document: signed, pinned, and one opinion of several key holders."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.vocabulary import TokenClass
from silenthit.blinding.epoch_document import (
    EpochDocument,
    EpochEntry,
    agreed_epochs,
    signed_document,
    verified_document,
)
from silenthit.blinding.epochs import EpochState
from silenthit.errors import RefusedError

KEY = Ed25519PrivateKey.generate()
PINNED = KEY.public_key().public_bytes_raw()


def document(**states: EpochState) -> EpochDocument:
    return EpochDocument(
        holder="federal",
        version=3,
        issued_at=datetime(2026, 11, 22, tzinfo=UTC),
        epochs={
            int(name[1:]): EpochEntry(
                state=state, public_keys={each: bytes([each]) * 32 for each in TokenClass}
            )
            for name, state in states.items()
        },
    )


def test_comes_back_as_it_was_signed() -> None:
    issued = document(e1=EpochState.DRAINING, e2=EpochState.CURRENT)
    assert verified_document(signed_document(issued, KEY), PINNED) == issued


def test_another_signer_is_refused() -> None:
    content = signed_document(document(e1=EpochState.CURRENT), Ed25519PrivateKey.generate())
    with pytest.raises(RefusedError, match="another's signature"):
        verified_document(content, PINNED)


def test_a_changed_state_is_refused() -> None:
    outer = json.loads(signed_document(document(e1=EpochState.READING), KEY))
    outer["document"] = outer["document"].replace("reading", "current")
    with pytest.raises(RefusedError, match="another's signature"):
        verified_document(json.dumps(outer).encode(), PINNED)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"document": 1, "signature": ""}', b"\xff"]
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedError):
        verified_document(content, PINNED)


def test_holders_turn_one_after_the_other_and_the_first_named_leads() -> None:
    old = document(e1=EpochState.CURRENT, e2=EpochState.PREPARED)
    new = document(e1=EpochState.DRAINING, e2=EpochState.CURRENT)
    assert agreed_epochs([old, new]).current == 1
    assert agreed_epochs([new, old]).current == 2


def test_an_epoch_that_another_holder_does_not_know_is_left_out() -> None:
    ahead = document(e1=EpochState.CURRENT, e2=EpochState.PREPARED)
    assert agreed_epochs([ahead, document(e1=EpochState.CURRENT)]).states == {1: EpochState.CURRENT}


def test_one_destroyed_secret_destroys_the_epoch() -> None:
    gone = document(e1=EpochState.DESTROYED, e2=EpochState.CURRENT)
    kept = document(e1=EpochState.READING, e2=EpochState.CURRENT)
    assert agreed_epochs([kept, gone]).states[1] is EpochState.DESTROYED
