from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN
from stream_processors.watch_index import Gone, WatchIndex
from stream_processors.watch_keys import WatchKeys, make_watch_key
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
    key = make_watch_key(tmp_path / "watches")
    Snapshot.of(index, "cluster", {("watches.fbi", 0): 300}).write(path, key, now_ms=NOW)
    return path


def load(path: Path, **change: object) -> tuple[dict, int]:
    given = {"cluster": "cluster", "partners": ["fbi", "hsi"], "now_ms": NOW, **change}
    index, keys = WatchIndex(), WatchKeys(path.with_name("watches"))
    return restored(path, index, keys, **given), len(index)  # type: ignore[arg-type]


def test_a_snapshot_gives_back_what_was_there_and_where_to_read_on(snapshot: Path) -> None:
    assert load(snapshot) == ({("watches.fbi", 0): 300}, 300)
    assert snapshot.stat().st_mode & 0o077 == 0


def test_a_snapshot_is_read_after_a_newer_watch_key_was_made(snapshot: Path) -> None:
    make_watch_key(snapshot.with_name("watches"))
    assert load(snapshot) == ({("watches.fbi", 0): 300}, 300)


def test_a_copied_snapshot_opens_nowhere_else(snapshot: Path) -> None:
    for key in snapshot.with_name("watches").iterdir():
        key.unlink()
    make_watch_key(snapshot.with_name("watches"))
    assert load(snapshot) == ({}, 0)


def test_nothing_of_a_token_or_a_registration_id_can_be_read_in_a_snapshot(tmp_path: Path) -> None:
    index, placed = WatchIndex(), registrations(50)
    index.apply(placed)
    path, key = tmp_path / "watches.snapshot", make_watch_key(tmp_path / "watches")
    Snapshot.of(index, "cluster", {}).write(path, key)
    ids = {each.registration_id for each in placed}
    tokens = {row[:8] for each in placed for row in rows_of(each)}
    needles = ids | {token[::-1] for token in tokens}  # as numbers, as the index has them
    runs = [column.tobytes() for run in index.tokens.runs()[2] for column in run]
    in_memory = index.slots.tobytes() + b"".join(runs)
    assert all(needle in in_memory for needle in needles)
    assert not any(needle in path.read_bytes() for needle in needles | tokens)


def rows_of(registration: WatchRegistration) -> list[bytes]:
    return [row.tobytes() for row in np.frombuffer(registration.tokens, TOKEN)["token"]]


@pytest.mark.parametrize(
    "change", [{"cluster": "other"}, {"partners": ["hsi"]}, {"now_ms": NOW + OLDEST_MS + 1}]
)
def test_a_snapshot_that_does_not_fit_is_not_used(snapshot: Path, change: dict) -> None:
    assert load(snapshot, **change) == ({}, 0)


def test_a_damaged_snapshot_is_not_used(snapshot: Path) -> None:
    content = bytearray(snapshot.read_bytes())
    head = content.index(b"\n")
    for at in (head // 2, head + 1, len(content) // 2, len(content) - 1):
        damaged = content.copy()
        damaged[at] ^= 1
        snapshot.write_bytes(damaged)
        assert load(snapshot) == ({}, 0)
    for kept in (len(content) - 1, len(content) // 3, head + 1, head):
        snapshot.write_bytes(content[:kept])
        assert load(snapshot) == ({}, 0)
    snapshot.write_bytes(b"noise")
    assert load(snapshot) == ({}, 0)
    snapshot.write_bytes(b"")
    assert load(snapshot) == ({}, 0)


def test_what_is_said_of_a_snapshot_in_clear_can_not_be_changed_either(snapshot: Path) -> None:
    content = snapshot.read_bytes()
    changed = content.replace(b'["watches.fbi", 0, 300]', b'["watches.fbi", 0, 200]')
    assert changed != content
    snapshot.write_bytes(changed)
    assert load(snapshot) == ({}, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"slots": 0, "leaves": [], "others": []},  # where nothing is there to be opened
        {"slots": 10**15},  # more memory than there is
        {"others": [10**15]},
    ],
)
def test_a_first_line_is_proven_before_anything_is_done_that_it_says(
    snapshot: Path, change: dict
) -> None:
    line, _, sealed = snapshot.read_bytes().partition(b"\n")
    snapshot.write_bytes(json.dumps(json.loads(line) | change).encode() + b"\n" + sealed)
    assert load(snapshot) == ({}, 0)


def test_a_first_line_nested_without_end_is_no_first_line(snapshot: Path) -> None:
    snapshot.write_bytes(b"[" * 100_000 + b"\n")
    assert load(snapshot) == ({}, 0)


def test_without_a_snapshot_the_topics_are_read_from_their_beginning(tmp_path: Path) -> None:
    assert load(tmp_path / "none") == ({}, 0)
