"""The watch index on disk, so that a restarting worker reads only what came since.

One file: a line of JSON (what it is, where in the topics it stands, how many rows, the checksum of
the rest), then the columns as they lie in memory. It is written beside and renamed. A file that
does not fit (another format, another cluster, partners that left, too old for the tombstones it may
have missed, damaged) is not used, and the log says why: the topics hold everything.
"""

from __future__ import annotations

import json
import mmap
import os
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from schemas.topics import DAY_MS
from stream_processors.token_store import Entries
from stream_processors.watch_index import SLOT, WatchIndex

FORMAT = 1
OLDEST_MS = 30 * DAY_MS  # the topic keeps tombstones for three times as long
_FIRST_LINE = 64 * 1024 * 1024
_CHUNK = 1 << 24

log = structlog.get_logger(__name__)

Positions = Mapping[tuple[str, int], int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """An index as it was, and the next offset of each watch log that it had not taken in."""

    cluster: str
    positions: dict[tuple[str, int], int]
    partners: list[str]
    slots: NDArray[Any]
    leaves: list[Entries]
    bounds: NDArray[Any]
    others: list[Entries]

    @classmethod
    def of(cls, index: WatchIndex, cluster: str, positions: Positions) -> Snapshot:
        """Take one at this moment, quickly: the runs never change, only the slots are copied."""
        leaves, bounds, others = index.tokens.runs()
        return cls(
            cluster=cluster,
            positions=dict(positions),
            partners=list(index.partners),
            slots=index.slots[: index.used].copy(),
            leaves=leaves,
            bounds=bounds,
            others=others,
        )

    def write(self, path: Path, *, now_ms: int | None = None) -> None:
        """Replace the file; takes a second for a million watches, most of it outside Python."""
        head = {
            "silenthit": "watches",
            "format": FORMAT,
            "made_at": time.time_ns() // 1_000_000 if now_ms is None else now_ms,
            "cluster": self.cluster,
            "positions": [[*log, offset] for log, offset in self.positions.items()],
            "partners": self.partners,
            "slots": len(self.slots),
            "leaves": [len(leaf.first) for leaf in self.leaves],
            "others": [len(run.first) for run in self.others],
        }
        digest = sha256()
        for column in self._columns():
            digest.update(column)
        line = json.dumps({**head, "sha256": digest.hexdigest()}).encode() + b"\n"
        beside = path.with_name(f"{path.name}.{os.getpid()}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(line)
            for column in self._columns():
                file.write(column)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def _columns(self) -> Iterator[memoryview]:
        runs = (column for run in (*self.leaves, *self.others) for column in run)
        for column in (self.slots, self.bounds, *runs):
            yield np.ascontiguousarray(column).view(np.uint8).data


def restored(
    path: Path, index: WatchIndex, *, cluster: str, partners: Collection[str], now_ms: int
) -> dict[tuple[str, int], int]:
    """Fill an empty index from the file; return where to read on, {} when the file does not fit."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            head, start = _head(whole)
            fault = _misfit(head, cluster, partners, now_ms) or _damage(whole, head, start)
            if fault is None:
                _fill(index, head, _Columns(whole, start))
                return {(topic, number): offset for topic, number, offset in head["positions"]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = type(error).__name__
    log.warning("the snapshot of the watches is not used", reason=fault, path=path.name)
    return {}


def _head(whole: mmap.mmap) -> tuple[dict[str, Any], int]:
    end = whole.find(b"\n", 0, _FIRST_LINE) + 1
    return dict(json.loads(whole[:end])), end


def _misfit(
    head: Mapping[str, Any], cluster: str, partners: Collection[str], now_ms: int
) -> str | None:
    """Why a snapshot is not one of this exchange as it is now, None when it is."""
    if head["silenthit"] != "watches" or head["format"] != FORMAT:
        return "another format"
    if head["cluster"] != cluster:
        return "another cluster"
    if not set(head["partners"]) <= set(partners):
        return "a partner has left"
    return "too old" if now_ms - head["made_at"] > OLDEST_MS else None


def _damage(whole: mmap.mmap, head: Mapping[str, Any], start: int) -> str | None:
    digest, view = sha256(), memoryview(whole)
    try:
        for at in range(start, len(view), _CHUNK):
            digest.update(view[at : at + _CHUNK])
    finally:
        view.release()
    return None if digest.hexdigest() == head["sha256"] else "damaged"


class _Columns:
    """Copies columns out of the file, one after the other: each run must have memory of its own."""

    def __init__(self, whole: mmap.mmap, start: int) -> None:
        self._whole, self._at = whole, start

    def take(self, count: int, kind: Any) -> NDArray[Any]:
        found = np.frombuffer(self._whole, kind, count, self._at).copy()
        self._at += found.nbytes
        return found

    def run(self, count: int) -> Entries:
        return Entries(*(self.take(count, column.dtype) for column in Entries.none()))


def _fill(index: WatchIndex, head: Mapping[str, Any], columns: _Columns) -> None:
    index.restore(head["partners"], columns.take(head["slots"], SLOT))
    bounds = columns.take(len(head["leaves"]), "<u8")
    index.tokens.restore([columns.run(count) for count in head["leaves"]], bounds)
    for count in head["others"]:
        index.tokens.add(columns.run(count))
