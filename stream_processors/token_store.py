"""Which slot holds a token: sorted numpy runs that never change, merged a small piece at a time.

The bulk lies in *leaves*, sorted runs of neighbouring tokens. New entries go into a few *young*
runs. When these have grown, they are frozen and *swept* into the leaves, one leaf a step, so that
no step takes longer than a few milliseconds, however much there is. A bitmap of token prefixes
answers "nobody" for most of what is asked, at one memory access a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_processors.prefix_filter import PrefixFilter

YOUNG_LIMIT = 65_536
LEAF_LIMIT = 262_144
OVERDUE = 32  # limits: from there on taking in more waits for the sweep
_CUT_BITS = 44  # leaves are cut where the upper 20 bits change: there the bitmap's bytes do, too
_CUT = np.uint64((1 << _CUT_BITS) - 1)
_TOP = 1 << 64

Column = NDArray[Any]


class Entries(NamedTuple):
    """Tokens and who holds them, in order of the first half of the token."""

    first: Column  # u64, as the next: the token's halves, big-endian
    second: Column
    slot: Column  # u32
    subject: Column  # u8, as the next
    kind: Column

    @classmethod
    def none(cls) -> Entries:
        """Return no entries."""
        return cls(*(np.empty(0, kind) for kind in ("<u8", "<u8", "<u4", "u1", "u1")))

    @classmethod
    def joined(cls, several: Iterable[Entries]) -> Entries:
        """Return the entries of several runs in one, sorted. Sorted runs merge in linear time."""
        columns = zip(*several, strict=True)
        return cls(*(np.concatenate(each) for each in columns)).sorted()

    def sorted(self) -> Entries:
        """Return the entries in their order."""
        return self.chosen(np.argsort(self.first, kind="stable"))

    def chosen(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Entries:
        """Return some rows; a slice copies nothing."""
        return Entries(*(column[rows] for column in self))


class Found(NamedTuple):
    """Entries that hold a queried token; `row` is the token's place in the query."""

    row: Column
    slot: Column
    subject: Column


class TokenStore:
    """All entries of live slots, found by token. A slot that died may still be found: ask who."""

    def __init__(self, *, young_limit: int = YOUNG_LIMIT, leaf_limit: int = LEAF_LIMIT) -> None:
        """How many entries are young at most before a sweep, and how many a leaf holds."""
        self._young_limit, self._leaf_limit = young_limit, leaf_limit
        self._filter = PrefixFilter()
        self._leaves: list[Entries] = [Entries.none()]
        self._bounds = np.zeros(1, "<u8")  # the lowest first half that belongs to each leaf
        self._young: list[Entries] = []
        self._frozen: Entries | None = None  # what the sweep has not reached yet
        self._next_leaf = 0
        self._in_leaves = 0

    def __len__(self) -> int:
        """How many entries there are, dead ones that no sweep has met included."""
        return self._in_leaves + sum(len(run.first) for run in self._runs())

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the entries and their bitmap take."""
        runs = [*self._leaves, *self._runs()]
        return self._filter.nbytes + sum(column.nbytes for run in runs for column in run)

    @property
    def sweeping(self) -> bool:
        """Whether a sweep is under way."""
        return self._frozen is not None

    @property
    def due(self) -> bool:
        """Whether there is enough that is young for a sweep."""
        return self._young_count() >= self._young_limit

    @property
    def overdue(self) -> bool:
        """Whether so much is young that it costs every look-up."""
        return self._young_count() >= OVERDUE * self._young_limit

    def loaded(self) -> int:
        """Return how many entries lie in leaves."""
        return self._in_leaves

    def add(self, entries: Entries) -> None:
        """Take in entries, in any order."""
        if not len(entries.first):
            return
        self._filter.reserve(len(self) + len(entries.first))
        self._filter.add(entries.first)
        self._young.append(entries.sorted())
        # As in a binary counter: few runs, and each entry is merged a logarithmic number of times.
        while len(self._young) > 1 and len(self._young[-2].first) < 2 * len(self._young[-1].first):
            self._young[-2:] = [Entries.joined(self._young[-2:])]

    def find(self, first: Column, second: Column, kind: Column) -> Found:
        """Find every entry of these tokens and kinds."""
        asked = np.flatnonzero(self._filter.may_hold(first))
        if not len(asked):
            return _NOTHING
        asked = asked[np.argsort(first[asked])]
        query = _Query(asked, first[asked], second[asked], kind[asked])
        pieces = [query.in_run(run) for run in self._runs()]
        cuts = np.searchsorted(query.first, self._bounds)
        ends = np.append(cuts[1:], len(asked))
        pieces += [
            query.part(int(cuts[number]), int(ends[number])).in_run(self._leaves[number])
            for number in np.flatnonzero(cuts < ends).tolist()
        ]
        pieces = [piece for piece in pieces if len(piece.row)] or [_NOTHING]
        if len(pieces) == 1:
            return pieces[0]
        return Found(*(np.concatenate(each) for each in zip(*pieces, strict=True)))

    def begin_sweep(self) -> None:
        """Freeze what is young; from now on each `step` moves a leaf's share of it there."""
        self._frozen = Entries.joined([Entries.none(), *self._young])
        self._young, self._next_leaf = [], 0

    def step(self, alive: NDArray[np.bool_]) -> bool:
        """Rewrite one leaf with what is due to it, without dead slots; True after the last one."""
        if self._frozen is None:
            return True
        number = self._next_leaf
        top = int(self._bounds[number + 1]) if number + 1 < len(self._leaves) else _TOP
        leaf, due = self._leaves[number], self._frozen
        cut = len(due.first) if top == _TOP else int(np.searchsorted(due.first, np.uint64(top)))
        self._frozen = due.chosen(slice(cut, None))
        both = Entries.joined([leaf, due.chosen(slice(cut))]) if cut else leaf
        living = alive[both.slot]
        if cut or not living.all():
            self._replace(number, both if living.all() else both.chosen(living), top)
        else:
            self._next_leaf += 1
        if self._next_leaf < len(self._leaves):
            return False
        self._frozen = None
        return True

    def runs(self) -> tuple[list[Entries], NDArray[Any], list[Entries]]:
        """Return leaves, their lower bounds, and the other runs: all that a snapshot needs."""
        return list(self._leaves), self._bounds.copy(), list(self._runs())

    def restore(self, leaves: Sequence[Entries], bounds: NDArray[Any]) -> None:
        """Take over the leaves of a snapshot; the store must be empty."""
        self._leaves, self._bounds = list(leaves), bounds
        self._in_leaves = sum(len(leaf.first) for leaf in leaves)
        self._filter.reserve(self._in_leaves)
        for number, leaf in enumerate(leaves):
            top = int(bounds[number + 1]) if number + 1 < len(leaves) else _TOP
            self._filter.rewrite(int(bounds[number]), top, [leaf.first])

    def _replace(self, number: int, entries: Entries, top: int) -> None:
        pieces, bounds = _split(entries, int(self._bounds[number]), self._leaf_limit)
        self._in_leaves += len(entries.first) - len(self._leaves[number].first)
        self._filter.rewrite(
            int(self._bounds[number]), top, [entries.first, *(run.first for run in self._runs())]
        )
        self._leaves[number : number + 1] = pieces
        tail = self._bounds[number + 1 :]
        self._bounds = np.concatenate([self._bounds[:number], np.array(bounds, "<u8"), tail])
        self._next_leaf += len(pieces)

    def _young_count(self) -> int:
        return sum(len(run.first) for run in self._young)

    def _runs(self) -> list[Entries]:
        return self._young if self._frozen is None else [*self._young, self._frozen]


_NOTHING = Found(np.empty(0, np.intp), np.empty(0, "<u4"), np.empty(0, "u1"))


class _Query(NamedTuple):
    """Tokens that somebody may hold, in order of their first half."""

    row: Column  # their places in the query
    first: Column
    second: Column
    kind: Column

    def part(self, start: int, end: int) -> _Query:
        return _Query(*(column[start:end] for column in self))

    def in_run(self, run: Entries) -> Found:
        """Find what a run holds of the first halves, where second half and kind agree, too."""
        if not len(run.first):
            return _NOTHING
        low = np.searchsorted(run.first, self.first, side="left")
        here = np.flatnonzero(run.first[np.minimum(low, len(run.first) - 1)] == self.first)
        if not len(here):
            return _NOTHING
        low = low[here]
        counts = np.searchsorted(run.first, self.first[here], side="right") - low
        asked = np.repeat(here, counts)
        before = np.cumsum(counts) - counts
        at = np.arange(len(asked)) - np.repeat(before - low, counts)
        same = (run.second[at] == self.second[asked]) & (run.kind[at] == self.kind[asked])
        asked, at = asked[same], at[same]
        return Found(self.row[asked], run.slot[at], run.subject[at])


def _split(entries: Entries, bound: int, limit: int) -> tuple[list[Entries], list[int]]:
    """Cut a leaf that has grown too large, where the upper bits of its tokens change."""
    count = len(entries.first)
    bounds = [bound]
    if count > limit:
        share = limit // 2
        for at in range(share, count - share // 2, share):
            cut = int(entries.first[at] & ~_CUT)
            if cut > bounds[-1]:
                bounds.append(cut)
    if len(bounds) == 1:
        return [entries], bounds
    starts = np.searchsorted(entries.first, np.array(bounds, "<u8"))
    ends = [*starts[1:].tolist(), count]
    # Copies: a view would keep the whole in memory for as long as any piece lives.
    pieces = [
        Entries(*(column[start:end].copy() for column in entries))
        for start, end in zip(starts.tolist(), ends, strict=True)
    ]
    return pieces, bounds
