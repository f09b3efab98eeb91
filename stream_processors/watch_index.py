"""Which watches hold a token: sorted numpy segments that never change, and a small mutable head.

A segment keeps its tokens as two columns of 64 bits, sorted by the first; a lookup of many tokens
is one vectorised binary search. New and changed watches go into the head, a dictionary, until it
has grown to a share of the segment and is merged. A removed or superseded registration
only loses its place in the table of registrations and is dropped at the next merge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN, rows
from schemas.vocabulary import CoarseKind

HEAD_TOKENS = 65_536
HEAD_SHARE = 0.25  # of the segment: merging costs a sort of everything
_KIND_BIT = {kind: 1 << number for number, kind in enumerate(CoarseKind)}
_ALL_KINDS = (1 << len(_KIND_BIT)) - 1

# One entry of a segment; `first` and `second` are the token's halves as big-endian numbers.
_ENTRY = np.dtype(
    [("first", "<u8"), ("second", "<u8"), ("slot", "<u4"), ("subject", "u1"), ("kind", "u1")]
)


class Watched(NamedTuple):
    """A registration as matching needs it."""

    registration_id: bytes
    epoch: int
    partner: str
    kinds: int  # bits of coarse kinds wanted
    expires_at: int


class Hit(NamedTuple):
    """A queried token (its row) that a subject of a live registration (its slot) holds."""

    row: int
    slot: int
    watch_subject: int


class WatchIndex:
    """All live registrations, by token."""

    def __init__(self, head_tokens: int = HEAD_TOKENS) -> None:
        """`head_tokens`: how many tokens the head takes at least before it is merged."""
        self._head_limit = head_tokens
        self._watched: list[Watched | None] = []
        self._slots: dict[bytes, int] = {}
        self._segment = np.empty(0, _ENTRY)
        self._head: dict[bytes, list[tuple[int, int, int]]] = {}
        self._head_rows: list[NDArray[np.void]] = []
        self._head_count = 0

    def __len__(self) -> int:
        """How many registrations are live."""
        return len(self._slots)

    def __contains__(self, key: bytes) -> bool:
        """Whether the registration of this key is live."""
        return key in self._slots

    def add(self, registration: WatchRegistration) -> None:
        """Insert a registration, in place of an earlier one of the same key."""
        key = registration_key(registration.registration_id, registration.epoch)
        self.remove(key)
        slot = len(self._watched)
        wanted = sum(_KIND_BIT[kind] for kind in set(registration.kinds)) or _ALL_KINDS
        self._watched.append(
            Watched(
                registration.registration_id,
                registration.epoch,
                registration.partner,
                wanted,
                registration.expires_at,
            )
        )
        self._slots[key] = slot
        packed = rows(registration.tokens, TOKEN)
        for subject, kind, token in zip(
            packed["subject"].tolist(), packed["kind"].tolist(), packed["token"], strict=True
        ):
            self._head.setdefault(token.tobytes(), []).append((slot, subject, kind))
        self._head_rows.append(_entries(packed, slot))
        self._head_count += len(packed)
        if self._head_count >= max(self._head_limit, HEAD_SHARE * len(self._segment)):
            self._merge()

    def remove(self, key: bytes) -> None:
        """Forget the registration of this key; unknown ones are fine."""
        slot = self._slots.pop(key, None)
        if slot is not None:
            self._watched[slot] = None

    def watched(self, slot: int, kind: CoarseKind, at: int) -> Watched | None:
        """Return the registration in a slot if it wants this kind and has not expired at `at`."""
        found = self._watched[slot]
        if found is None or not found.kinds & _KIND_BIT[kind] or at >= found.expires_at:
            return None
        return found

    def lookup(self, tokens: NDArray[np.void]) -> list[Hit]:
        """Find every live registration that holds one of these packed token rows."""
        hits = [*self._in_segment(tokens), *self._in_head(tokens)]
        return [hit for hit in hits if self._watched[hit.slot] is not None]

    def _in_segment(self, tokens: NDArray[np.void]) -> Iterator[Hit]:
        entries = self._segment
        if not len(entries) or not len(tokens):
            return
        first, second = _halves(tokens)
        low = np.searchsorted(entries["first"], first, side="left")
        present = np.minimum(low, len(entries) - 1)
        for row in np.flatnonzero(entries["first"][present] == first).tolist():
            yield from self._run(int(low[row]), row, first[row], second[row], tokens["kind"][row])

    def _run(
        self, at: int, row: int, first: np.uint64, second: np.uint64, kind: np.uint8
    ) -> Iterator[Hit]:
        """Walk the entries whose first half is equal: they differ only where tokens collide."""
        entries = self._segment
        while at < len(entries) and entries["first"][at] == first:
            entry = entries[at]
            if entry["second"] == second and entry["kind"] == kind:
                yield Hit(row, int(entry["slot"]), int(entry["subject"]))
            at += 1

    def _in_head(self, tokens: NDArray[np.void]) -> Iterator[Hit]:
        if not self._head:
            return
        kinds = tokens["kind"].tolist()
        for row, token in enumerate(tokens["token"]):
            for slot, subject, kind in self._head.get(token.tobytes(), ()):
                if kind == kinds[row]:
                    yield Hit(row, slot, subject)

    def _merge(self) -> None:
        """Build one new segment of all live entries and start an empty head."""
        live = self._live(np.concatenate([self._segment, *self._head_rows]))
        self._segment = live[np.argsort(live["first"])]
        self._head, self._head_rows, self._head_count = {}, [], 0

    def _live(self, entries: NDArray[np.void]) -> NDArray[np.void]:
        """Keep the entries of live slots, renumbered so that dead slots cost nothing."""
        alive = np.array([watched is not None for watched in self._watched], dtype=bool)
        renumbered = np.cumsum(alive, dtype=np.uint32) - 1
        kept: NDArray[np.void] = entries[alive[entries["slot"]]]
        kept["slot"] = renumbered[kept["slot"]]
        self._watched = [watched for watched in self._watched if watched is not None]
        self._slots = {
            registration_key(w.registration_id, w.epoch): slot
            for slot, w in enumerate(self._watched)
            if w is not None
        }
        return kept


def _halves(tokens: NDArray[np.void]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    packed = np.ascontiguousarray(tokens["token"]).view(">u8").reshape(-1, 2)
    return packed[:, 0].astype("<u8"), packed[:, 1].astype("<u8")


def _entries(packed: NDArray[np.void], slot: int) -> NDArray[np.void]:
    entries = np.empty(len(packed), _ENTRY)
    entries["first"], entries["second"] = _halves(packed)
    entries["slot"] = slot
    entries["subject"], entries["kind"] = packed["subject"], packed["kind"]
    return entries


def concatenated(columns: Sequence[bytes]) -> NDArray[np.void]:
    """View the packed tokens of several touches as one array of rows."""
    return np.frombuffer(b"".join(columns), dtype=TOKEN)
