"""Every live registration at this worker, found by the tokens it holds.

A registration is a row of columns, its *slot*; its tokens lie in a `TokenStore`. A removed or
superseded one is dead at once, and its tokens go when the store's next sweep meets them; only then
is its slot used again. A registration's own key is one more token in the store, of a kind that no
touch's token counts as, so that an earlier version of it is found the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN
from schemas.vocabulary import CoarseKind
from stream_processors.token_store import LEAF_LIMIT, YOUNG_LIMIT, Entries, Found, TokenStore

KEY_KIND = 255  # of the token that stands for a registration's own key
LOAD_SHARE = 4  # while loading, what is young may grow to this part of all
KIND_BIT = {kind: 1 << number for number, kind in enumerate(CoarseKind)}
_ALL_KINDS = (1 << len(KIND_BIT)) - 1
_FIRST_SLOTS = 64

SLOT = np.dtype(
    [
        ("registration_id", "V16"),
        ("epoch", "<u4"),
        ("partner", "<u2"),
        ("kinds", "u1"),  # bits of the coarse kinds wanted
        ("alive", "?"),
        ("expires_at", "<i8"),
    ]
)


class Gone(NamedTuple):
    """A partner's registration by its key: as a change, that it is there no more."""

    partner: str
    key: bytes


class Watched(NamedTuple):
    """A registration as matching needs it."""

    registration_id: bytes
    epoch: int
    partner: str
    kinds: int  # bits of coarse kinds wanted
    expires_at: int

    @property
    def key(self) -> Gone:
        """By what its partner names it."""
        return Gone(self.partner, registration_key(self.registration_id, self.epoch))


Change = WatchRegistration | Gone


class WatchIndex:
    """All live registrations, by token. For one thread."""

    def __init__(self, *, young_limit: int = YOUNG_LIMIT, leaf_limit: int = LEAF_LIMIT) -> None:
        """Take the limits of the `TokenStore`; the defaults suit a million watches."""
        self.tokens = TokenStore(young_limit=young_limit, leaf_limit=leaf_limit)
        self.loading = False  # nobody matches yet: rather be quick in all than in each step
        self.partners: list[str] = []
        self.slots: NDArray[Any] = np.zeros(_FIRST_SLOTS, SLOT)
        self.used = 0  # slots from here on were never used
        self._live = 0
        self._free: list[int] = []
        self._dying: list[int] = []  # dead since the last sweep began
        self._swept: list[int] = []  # dead before it began: free when it ends

    def __len__(self) -> int:
        """How many registrations are live."""
        return self._live

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all of it takes."""
        return self.tokens.nbytes + self.slots.nbytes

    def live(self, partner: str, key: bytes) -> Watched | None:
        """Return a partner's registration by its key, None when there is none."""
        (slot,) = self._held([Gone(partner, key)])
        return None if slot is None else self.watched(slot)

    def there(self, keys: Sequence[Gone]) -> list[bool]:
        """Return, for each partner's key, whether its registration is live."""
        return [slot is not None for slot in self._held(keys)]

    def add(self, registration: WatchRegistration) -> None:
        """Insert a registration, in place of the partner's earlier one of the same key."""
        self.apply([registration])

    def remove(self, partner: str, key: bytes) -> None:
        """Forget a partner's registration by its key; unknown ones are fine."""
        self.apply([Gone(partner, key)])

    def apply(self, changes: Sequence[Change]) -> None:
        """Take in several changes, in their order: the cost is a batch's, not each one's."""
        last = {_key(change): change for change in changes}
        for slot in self._held(last):
            if slot is not None:
                self._bury(slot)
        added = [each for each in last.values() if not isinstance(each, Gone)]
        if added:
            self._insert(added)
        self.maintain()

    def find(self, tokens: NDArray[np.void]) -> Found:
        """Find the live registrations that hold these packed token rows (`packing.TOKEN`)."""
        found = self.tokens.find(*halves(tokens), tokens["kind"])
        if not len(found.row):
            return found
        alive = self.slots["alive"][found.slot]
        return found if alive.all() else Found(*(column[alive] for column in found))

    def wanted(self, slots: NDArray[Any], kinds: NDArray[Any], at: NDArray[Any]) -> NDArray[Any]:
        """Whether each slot wants a touch of these kinds (bits) and has not expired `at` then."""
        rows = self.slots[slots]
        wants: NDArray[Any] = ((rows["kinds"] & kinds) != 0) & (at < rows["expires_at"])
        return wants

    def maintain(self) -> None:
        """Do one step of what keeps the index compact: at most a few milliseconds.

        Whoever matches calls it between batches; without any call nothing is wrong, only slower.
        """
        tokens = self.tokens
        if not tokens.sweeping and tokens.due and not self._may_wait():
            tokens.begin_sweep()
            self._swept, self._dying = self._dying, []
        while tokens.sweeping:
            if tokens.step(self.slots["alive"]):
                self._free += self._swept
                self._swept = []
            if not self.loading and not tokens.overdue:
                break

    def loaded(self) -> None:
        """Say that loading has ended: sweep all that is young, and go in small steps from now."""
        if self.tokens.due:
            self.tokens.begin_sweep()
            self._swept, self._dying = self._dying, []
        self.maintain()
        self.loading = False

    def restore(self, partners: Sequence[str], slots: NDArray[Any]) -> None:
        """Take over the registrations of a snapshot; the index must be empty."""
        self.partners, self.slots, self.used = list(partners), slots, len(slots)
        self._live = int(slots["alive"].sum())
        self._dying = np.flatnonzero(~slots["alive"]).tolist()

    def _may_wait(self) -> bool:
        """While loading, few and large sweeps are quicker than many."""
        young = len(self.tokens) - self.tokens.loaded()
        return self.loading and young * LOAD_SHARE < self.tokens.loaded()

    def watched(self, slot: int) -> Watched:
        """Return the registration in a live slot."""
        row = self.slots[slot]
        return Watched(
            row["registration_id"].tobytes(),
            int(row["epoch"]),
            self.partners[row["partner"]],
            int(row["kinds"]),
            int(row["expires_at"]),
        )

    def _held(self, keys: Iterable[Gone]) -> list[int | None]:
        """Return the live slot of each key."""
        packed = b"".join(b"\0" + bytes([KEY_KIND]) + _key_token(*key) for key in keys)
        rows = np.frombuffer(packed, TOKEN)
        slots: list[int | None] = [None] * len(rows)
        found = self.find(rows)
        for row, slot in zip(found.row.tolist(), found.slot.tolist(), strict=True):
            slots[row] = slot
        return slots

    def _bury(self, slot: int) -> None:
        self.slots["alive"][slot] = False
        self._dying.append(slot)
        self._live -= 1

    def _insert(self, added: Sequence[WatchRegistration]) -> None:
        slots = self._new_slots(len(added))
        rows = [
            (
                each.registration_id,
                each.epoch,
                self._partner(each.partner),
                sum(KIND_BIT[kind] for kind in set(each.kinds)) or _ALL_KINDS,
                True,
                each.expires_at,
            )
            for each in added
        ]
        self.slots[slots] = np.array(rows, SLOT)
        self._live += len(added)
        packed = b"".join(
            b"\0" + bytes([KEY_KIND]) + _key_token(*_key(each)) + each.tokens for each in added
        )
        tokens = np.frombuffer(packed, TOKEN)
        counts = [1 + len(each.tokens) // TOKEN.itemsize for each in added]
        owner = np.repeat(np.array(slots, "<u4"), counts)
        self.tokens.add(Entries(*halves(tokens), owner, tokens["subject"], tokens["kind"]))

    def _new_slots(self, count: int) -> list[int]:
        slots = [self._free.pop() for _ in range(min(count, len(self._free)))]
        fresh = count - len(slots)
        if self.used + fresh > len(self.slots):
            # An eighth more at a time: a million slots take 32 MB.
            size = max(self.used + fresh, len(self.slots) + len(self.slots) // 8)
            grown = np.zeros(size, SLOT)
            grown[: self.used] = self.slots[: self.used]
            self.slots = grown
        slots += range(self.used, self.used + fresh)
        self.used += fresh
        return slots

    def _partner(self, name: str) -> int:
        if name not in self.partners:
            self.partners.append(name)
        return self.partners.index(name)


def _key(change: Change) -> Gone:
    if isinstance(change, Gone):
        return change
    return Gone(change.partner, registration_key(change.registration_id, change.epoch))


def _key_token(partner: str, key: bytes) -> bytes:
    """Return 16 bytes that stand for a partner's registration: nobody finds another's by it."""
    return blake2b(partner.encode() + b"/" + key, digest_size=16, person=b"registration").digest()


def halves(tokens: NDArray[np.void]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the two halves of each token of packed rows, as numbers that order as the bytes do."""
    packed = np.ascontiguousarray(tokens["token"]).view(">u8").reshape(-1, 2)
    return packed[:, 0].astype("<u8"), packed[:, 1].astype("<u8")
