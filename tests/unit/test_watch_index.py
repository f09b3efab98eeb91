from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN
from stream_processors.watch_index import Gone, WatchIndex
from stream_processors.watch_snapshot import OLDEST_MS, Snapshot, restored

TOKENS = 20
NOW = 1_700_000_000_000


def registrations(count: int) -> list[WatchRegistration]:
    rows = np.zeros((count, TOKENS), TOKEN)
    rows["kind"] = 1
    rows["token"] = np.frombuffer(os.urandom(16 * count * TOKENS), "V16").reshape(count, TOKENS)
    return [
        WatchRegistration(
            registration_id=os.urandom(16),
            partner="fbi",
            epoch=1,
            tokens=each.tobytes(),
            kinds=(),
            expires_at=NOW,
        )
        for each in rows
    ]


def gone(registration: WatchRegistration) -> Gone:
    return Gone("fbi", registration_key(registration.registration_id, 1))


def test_a_watch_of_twenty_tokens_takes_less_than_six_hundred_bytes() -> None:
    index = WatchIndex()
    index.loading = True
    for _ in range(20):
        index.apply(registrations(1_000))
    index.loaded()
    assert index.nbytes / len(index) < 600


def test_watches_that_come_and_go_take_no_more_memory_in_the_end() -> None:
    index = WatchIndex(young_limit=2_000, leaf_limit=8_000)
    stay = registrations(500)
    index.apply(stay)
    for _ in range(30):
        passing = registrations(200)
        index.apply(passing)
        index.apply([gone(each) for each in passing])
        for _ in range(4):
            index.maintain()
    assert len(index) == 500
    assert len(index.slots) < 5_000
    assert len(index.tokens) < 4 * 500 * (TOKENS + 1)
    assert all(len(index.find(np.frombuffer(each.tokens, TOKEN)).row) == TOKENS for each in stay)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    index = WatchIndex(young_limit=500, leaf_limit=2_000)
    index.apply(registrations(300))
    path = tmp_path / "watches.snapshot"
    Snapshot.of(index, "cluster", {("watches.fbi", 0): 300}).write(path, now_ms=NOW)
    return path


def load(path: Path, **change: object) -> tuple[dict, int]:
    given = {"cluster": "cluster", "partners": ["fbi", "hsi"], "now_ms": NOW, **change}
    index = WatchIndex()
    return restored(path, index, **given), len(index)  # type: ignore[arg-type]


def test_a_snapshot_gives_back_what_was_there_and_where_to_read_on(snapshot: Path) -> None:
    assert load(snapshot) == ({("watches.fbi", 0): 300}, 300)
    assert snapshot.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "change", [{"cluster": "other"}, {"partners": ["hsi"]}, {"now_ms": NOW + OLDEST_MS + 1}]
)
def test_a_snapshot_that_does_not_fit_is_not_used(snapshot: Path, change: dict) -> None:
    assert load(snapshot, **change) == ({}, 0)


def test_a_damaged_snapshot_is_not_used(snapshot: Path) -> None:
    content = bytearray(snapshot.read_bytes())
    content[len(content) // 2] ^= 1
    snapshot.write_bytes(content)
    assert load(snapshot) == ({}, 0)
    snapshot.write_bytes(content[: len(content) // 3])
    assert load(snapshot) == ({}, 0)
    snapshot.write_bytes(b"noise")
    assert load(snapshot) == ({}, 0)
    snapshot.write_bytes(b"")
    assert load(snapshot) == ({}, 0)


def test_without_a_snapshot_the_topics_are_read_from_their_beginning(tmp_path: Path) -> None:
    assert load(tmp_path / "none") == ({}, 0)
