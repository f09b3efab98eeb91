"""Which watches hold a token: sorted numpy segments that never change, and a small mutable head.

A segment keeps its tokens as two columns of 64 bits, sorted by the first; a lookup of many tokens
is one vectorised binary search. New and changed watches go into the head, a dictionary, until it
has grown to a share of the segment and is merged. A removed or superseded registration
only loses its place in the table of registrations and is dropped at the next merge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN
from schemas.vocabulary import CoarseKind

HEAD_TOKENS = 65_536
HEAD_SHARE = 0.25  # of the segment: merging costs a sort of everything
_KIND_BIT = {kind: 1 << number for number, kind in enumerate(CoarseKind)}
_ALL_KINDS = (1 << len(_KIND_BIT)) - 1


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


class _Segment(NamedTuple):
    """Entries in order of the first half of their token; each column lies whole in memory."""

    first: NDArray[Any]  # u64, as the next
    second: NDArray[Any]
    slot: NDArray[Any]  # u32
    subject: NDArray[Any]  # u8, as the next
    kind: NDArray[Any]

    @classmethod
    def of(cls, packed: NDArray[np.void], slots: NDArray[np.uint32]) -> _Segment:
        """Take packed token rows and the slot of each; they need no order."""
        first, second = _halves(packed)
        kind = np.ascontiguousarray(packed["kind"])
        return cls(first, second, slots, np.ascontiguousarray(packed["subject"]), kind)

    def chosen(self, rows_chosen: NDArray[np.intp] | NDArray[np.bool_]) -> _Segment:
        return _Segment(*(column[rows_chosen] for column in self))


class WatchIndex:
    """All live registrations, by token."""

    def __init__(self, head_tokens: int = HEAD_TOKENS) -> None:
        """`head_tokens`: how many tokens the head takes at least before it is merged."""
        self._head_limit = head_tokens
        self._watched: list[Watched | None] = []
        self._slots: dict[tuple[str, bytes], int] = {}
        self._segment = _Segment.of(np.empty(0, TOKEN), np.empty(0, np.uint32))
        self._head: dict[bytes, list[tuple[int, int, int]]] = {}
        self._head_packed: list[tuple[int, bytes]] = []
        self._head_count = 0

    def __len__(self) -> int:
        """How many registrations are live."""
        return len(self._slots)

    def live(self, partner: str, key: bytes) -> Watched | None:
        """Return a partner's registration by its key, None when there is none."""
        slot = self._slots.get((partner, key))
        return None if slot is None else self._watched[slot]

    def add(self, registration: WatchRegistration) -> None:
        """Insert a registration, in place of the partner's earlier one of the same key."""
        key = registration_key(registration.registration_id, registration.epoch)
        self.remove(registration.partner, key)
        slot, packed = len(self._watched), registration.tokens
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
        self._slots[registration.partner, key] = slot
        for at in range(0, len(packed), TOKEN.itemsize):
            token = packed[at + 2 : at + TOKEN.itemsize]
            self._head.setdefault(token, []).append((slot, packed[at], packed[at + 1]))
        self._head_packed.append((slot, packed))
        self._head_count += len(packed) // TOKEN.itemsize
        if self._head_count >= max(self._head_limit, HEAD_SHARE * len(self._segment.first)):
            self._merge()

    def remove(self, partner: str, key: bytes) -> None:
        """Forget a partner's registration by its key; unknown ones are fine."""
        slot = self._slots.pop((partner, key), None)
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
        segment = self._segment
        if not len(segment.first) or not len(tokens):
            return
        first, second = _halves(tokens)
        low = np.searchsorted(segment.first, first)
        found = segment.first[np.minimum(low, len(segment.first) - 1)] == first
        for row in np.flatnonzero(found).tolist():
            yield from self._run(int(low[row]), row, second[row], tokens["kind"][row])

    def _run(self, at: int, row: int, second: np.uint64, kind: np.uint8) -> Iterator[Hit]:
        """Walk the entries whose first half is equal: they differ only where tokens collide."""
        segment = self._segment
        first = segment.first[at]
        while at < len(segment.first) and segment.first[at] == first:
            if segment.second[at] == second and segment.kind[at] == kind:
                yield Hit(row, int(segment.slot[at]), int(segment.subject[at]))
            at += 1

    def _in_head(self, tokens: NDArray[np.void]) -> Iterator[Hit]:
        if not self._head:
            return
        packed = tokens.tobytes()
        for row, at in enumerate(range(0, len(packed), TOKEN.itemsize)):
            held = self._head.get(packed[at + 2 : at + TOKEN.itemsize])
            for slot, subject, kind in held or ():
                if kind == packed[at + 1]:
                    yield Hit(row, slot, subject)

    def _merge(self) -> None:
        """Build one new segment of all live entries and start an empty head."""
        counts = [len(packed) // TOKEN.itemsize for _, packed in self._head_packed]
        slots = np.array([slot for slot, _ in self._head_packed], dtype=np.uint32)
        new = _Segment.of(
            concatenated([packed for _, packed in self._head_packed]), np.repeat(slots, counts)
        )
        self._head, self._head_packed, self._head_count = {}, [], 0
        both = (np.concatenate(pair) for pair in zip(self._segment, new, strict=True))
        live = self._live(_Segment(*both))
        self._segment = live.chosen(np.argsort(live.first))

    def _live(self, entries: _Segment) -> _Segment:
        """Keep the entries of live slots, renumbered so that dead slots cost nothing."""
        alive = np.array([watched is not None for watched in self._watched], dtype=bool)
        renumbered = np.cumsum(alive, dtype=np.uint32) - np.uint32(1)
        kept = entries.chosen(alive[entries.slot])
        self._watched = [watched for watched in self._watched if watched is not None]
        self._slots = {
            (w.partner, registration_key(w.registration_id, w.epoch)): slot
            for slot, w in enumerate(self._watched)
            if w is not None
        }
        return kept._replace(slot=renumbered[kept.slot])


def _halves(tokens: NDArray[np.void]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    packed = np.ascontiguousarray(tokens["token"]).view(">u8").reshape(-1, 2)
    return packed[:, 0].astype("<u8"), packed[:, 1].astype("<u8")


def concatenated(columns: Sequence[bytes]) -> NDArray[np.void]:
    """View the packed tokens of several touches as one array of rows."""
    return np.frombuffer(b"".join(columns), dtype=TOKEN)
