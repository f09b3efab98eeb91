"""The watch index on disk, so that a restarting worker reads only what came since.

One file: a line of JSON (what it is, where in the topics it stands, how many rows), then the
columns as they lie in memory, in sealed pieces. Their key is drawn for this one file from a watch
key of the exchange's, so a copy of the disk says how many watches there are, and nothing else. It
is written beside and renamed. A file that does not fit (another format, another cluster, partners
that left, too old for the tombstones it may have missed, a key that is not here, damaged) is not
used, and the log says why: the topics hold everything.
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
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from schemas.topics import DAY_MS
from stream_processors.token_store import Entries
from stream_processors.watch_index import SLOT, WatchIndex
from stream_processors.watch_keys import WatchKey, WatchKeys

FORMAT = 3
OLDEST_MS = 30 * DAY_MS  # the topic keeps tombstones for three times as long
_FIRST_LINE = 64 * 1024 * 1024
_PIECE = 1 << 20  # bytes sealed at once
_SALT_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 12, 16
_NOTHING = memoryview(bytearray())

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

    def write(self, path: Path, key: WatchKey, *, now_ms: int | None = None) -> None:
        """Replace the file; takes a second for a million watches, most of it outside Python."""
        salt = os.urandom(_SALT_BYTES)
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
            "key": key.id.hex(),
            "salt": salt.hex(),
        }
        line = json.dumps(head).encode() + b"\n"
        sealing = _Pieces(key.snapshot_key(salt), line)
        beside = path.with_name(f"{path.name}.{os.getpid()}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(line)
            file.write(sealing.sealed(_NOTHING))
            for column in self._columns():
                for at in range(0, len(column), _PIECE):
                    file.write(sealing.sealed(column[at : at + _PIECE]))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def _columns(self) -> Iterator[memoryview]:
        runs = (column for run in (*self.leaves, *self.others) for column in run)
        for column in (self.slots, self.bounds, *runs):
            yield np.ascontiguousarray(column).view(np.uint8).data


class _Pieces:
    """Seals or opens the pieces of one file, in their order: a key of its own, a counted nonce.

    The first line is authenticated with each piece, so none can be taken from or put into another
    file; the line says how many rows there are, so none can be left out. The first piece is empty:
    it proves the line before anything is done that the line says, and where there are no rows.
    """

    def __init__(self, key: bytes, line: bytes) -> None:
        self._cipher, self._line, self._count = AESGCM(key), sha256(line).digest(), 0

    def sealed(self, piece: memoryview) -> bytes:
        return self._cipher.encrypt(self._nonce(), piece, self._line)

    def open_into(self, piece: memoryview, sealed: memoryview) -> None:
        """Raise InvalidTag for what was changed, ValueError for what has another length."""
        self._cipher.decrypt_into(self._nonce(), sealed, self._line, piece)

    def _nonce(self) -> bytes:
        self._count += 1
        return self._count.to_bytes(_NONCE_BYTES, "big")


def restored(
    path: Path,
    index: WatchIndex,
    keys: WatchKeys,
    *,
    cluster: str,
    partners: Collection[str],
    now_ms: int,
) -> dict[tuple[str, int], int]:
    """Fill an empty index from the file; return where to read on, {} when the file does not fit."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            line = whole[: whole.find(b"\n", 0, _FIRST_LINE) + 1]
            head = dict(json.loads(line))
            fault = _misfit(head, cluster, partners, now_ms)
            key = None if fault else keys.file(bytes.fromhex(head["key"]))
            if key is not None:
                pieces = _Pieces(key.snapshot_key(bytes.fromhex(head["salt"])), line)
                with memoryview(whole) as view, view[len(line) :] as sealed:
                    _fill(index, head, _Columns(pieces, sealed))
                return {(topic, number): offset for topic, number, offset in head["positions"]}
            fault = fault or "sealed to a key that is not here"
    except FileNotFoundError:
        return {}
    except (InvalidTag, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        fault = type(error).__name__
    log.warning("the snapshot of the watches is not used", reason=fault, path=path.name)
    return {}


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


class _Columns:
    """Opens columns of the file, one after the other: each run must have memory of its own."""

    def __init__(self, pieces: _Pieces, sealed: memoryview) -> None:
        self._pieces, self._sealed, self._at = pieces, sealed, 0
        self._open_into(_NOTHING)

    def take(self, count: int, kind: Any) -> NDArray[Any]:
        found: NDArray[Any] = np.empty(count, kind)
        plain = found.view(np.uint8).data
        for start in range(0, len(plain), _PIECE):
            self._open_into(plain[start : start + _PIECE])
        return found

    def _open_into(self, piece: memoryview) -> None:
        end = self._at + len(piece) + _TAG_BYTES
        with self._sealed[self._at : end] as sealed:
            self._pieces.open_into(piece, sealed)
        self._at = end

    def run(self, count: int) -> Entries:
        return Entries(*(self.take(count, column.dtype) for column in Entries.none()))


def _fill(index: WatchIndex, head: Mapping[str, Any], columns: _Columns) -> None:
    """Open everything, and only then touch the index: the last piece may be damaged."""
    slots = columns.take(head["slots"], SLOT)
    bounds = columns.take(len(head["leaves"]), "<u8")
    leaves = [columns.run(count) for count in head["leaves"]]
    others = [columns.run(count) for count in head["others"]]
    index.restore(head["partners"], slots)
    index.tokens.restore(leaves, bounds)
    for run in others:
        index.tokens.add(run)
