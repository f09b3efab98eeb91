"""The exchange follows the key holder's signed documents."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from silenthit.blinding.epoch_document import EpochDocument, EpochEntry, signed_document
from silenthit.blinding.epoch_feed import EpochFeed
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.errors import SettingsError

KEY = Ed25519PrivateKey.generate()
PINNED = KEY.public_key().public_bytes_raw()
FIRST = EpochDocument(
    holder="federal",
    version=1,
    issued_at=datetime(2026, 11, 22, tzinfo=UTC),
    epochs={1: EpochEntry(state=EpochState.CURRENT, public_keys={})},
)
SECOND = replace(
    FIRST,
    version=2,
    epochs={
        1: EpochEntry(state=EpochState.DESTROYED, public_keys={}),
        2: EpochEntry(state=EpochState.CURRENT, public_keys={}),
    },
)


def test_states_follow_the_file_and_nothing_else(tmp_path: Path) -> None:
    path, now = tmp_path / "epochs.json", [0.0]
    path.write_bytes(signed_document(FIRST, KEY))
    epochs = Epochs(EpochFeed([(path, PINNED)], clock=lambda: now[0]))
    assert epochs.accepts_touch(1)
    path.write_bytes(signed_document(SECOND, Ed25519PrivateKey.generate()))
    now[0] = 1.0
    assert epochs.current == 1, "another's signature changes nothing"
    path.write_bytes(signed_document(SECOND, KEY))
    now[0] = 2.0
    assert (epochs.current, epochs.accepts_touch(1), epochs.accepts_watch(2)) == (2, False, True)
    path.write_bytes(signed_document(FIRST, KEY))
    now[0] = 3.0
    assert epochs.current == 2, "an older document changes nothing"
    path.unlink()
    now[0] = 4.0
    assert epochs.watchable == (2,)


def test_a_missing_document_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="keyholder document"):
        EpochFeed([(tmp_path / "none.json", PINNED)])
