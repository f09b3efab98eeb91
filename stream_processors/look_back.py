"""Look back: a new watch meets the touches that were there before it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from schemas.packing import TOKEN, rows
from schemas.topics import TOUCHES
from silenthit.bus.clients import Message
from silenthit.bus.fetch import PlaceReader
from stream_processors.admission import AdmittedTouch, AdmittedWatch, Refused, admit_touch
from stream_processors.checkpoint import (
    Checkpoints,
    Log,
    NotOwnedError,
    Owns,
    Positions,
    advanced,
    behind_all,
    held_back,
    lagging,
    within,
)
from stream_processors.expiry import expires_at
from stream_processors.match_worker import MatchWorker, watched

TOUCHES_AT_ONCE = 1_000  # read again together: some megabytes


class TouchStore(Protocol):
    """Where old touches are read again."""

    async def fetch(self, places: Sequence[tuple[int, int]]) -> list[Message]:
        """Return the touches that still lie at these (partition, offset)."""
        ...


class KafkaTouchStore:
    """Old touches out of the topic."""

    def __init__(self, reader: PlaceReader) -> None:
        """`reader` is open on the agency bus."""
        self._reader = reader

    async def fetch(self, places: Sequence[tuple[int, int]]) -> list[Message]:
        """Read them in a thread: the client blocks."""
        return await asyncio.to_thread(self._reader.fetch, TOUCHES.name, places)


class LookBack:
    """Keeps the cut: every watch looks back once over each partition that this worker owns."""

    def __init__(self, worker: MatchWorker, checkpoints: Checkpoints, store: TouchStore) -> None:
        """All three are the worker's own."""
        self._worker, self._checkpoints, self._store = worker, checkpoints, store
        self._owned: dict[int, dict[Log, int]] = {}
        self._owns: Owns = _nothing_owned

    async def own(self, partitions: Collection[int], read: Positions, owns: Owns) -> None:
        """Take over partitions, having read the watches up to these positions.

        Another worker may have looked back for watches that this one has not read, or does not know
        the epoch or key of. Those meet what this one handles by another look-back, when it takes
        them in; whoever owns the partitions next is told. Raises NotOwnedError.
        """
        waiting, before = self._worker.early.places(), self._owned
        claimed = await self._checkpoints.claim(partitions, owns)
        # What it owned before it knows better than a Redis that lost its tail.
        known = {each: within(done, before.get(each, done)) for each, done in claimed.items()}
        met = {each: held_back(within(done, read), waiting) for each, done in known.items()}
        self._owned, self._owns = met, owns
        await self._worker.pointers.claim(self._checkpoints.claims(partitions))
        await self._say_again()

    async def stands(self) -> bool:
        """Whether Redis says of the partitions owned what it was told."""
        return await self._checkpoints.stand(self._owned)

    async def insist(self) -> None:
        """Set right what Redis says of partitions owned: it lost its tail, or another claimed them.

        Raises NotOwnedError.
        """
        if await self.stands():
            return
        await self._checkpoints.claim(self._owned, self._owns)
        await self._worker.pointers.claim(self._checkpoints.claims(self._owned))
        await self._say_again()

    async def _say_again(self) -> None:
        recorded = await self._checkpoints.save(self._owned)
        if recorded.keys() != self._owned.keys():
            raise NotOwnedError("expected checkpoints recorded, got partitions claimed by another")

    async def begin(self, untouched: Collection[int], read: Positions) -> None:
        """Say that of some partitions no touch was handled yet, by anybody, at these positions.

        Whatever watch was read by then meets all of their touches live.
        """
        waiting = self._worker.early.places()
        reached = {each: held_back({**self._owned[each], **read}, waiting) for each in untouched}
        self._owned |= await self._checkpoints.save(reached)

    def behind(self) -> Positions:
        """Return where the watches begin that must look back over what is owned."""
        return behind_all(self._owned.values())

    async def over(self, watches: Sequence[AdmittedWatch]) -> None:
        """Look back for watches just taken in, then move the checkpoints past them."""
        owned = self._owned
        by_partitions: dict[frozenset[int], list[AdmittedWatch]] = {}
        for watch in watches:
            behind = lagging(owned, _log(watch), watch.place.offset)
            if behind:
                by_partitions.setdefault(behind, []).append(watch)
        for behind, several in by_partitions.items():
            await self._look_back(behind, several)
        passed = [(_log(watch), watch.place.offset) for watch in watches]
        waiting = self._worker.early.places()
        moved = {each: held_back(advanced(done, passed), waiting) for each, done in owned.items()}
        news = {each: done for each, done in moved.items() if done != owned[each]}
        owned |= await self._checkpoints.save(news)

    async def _look_back(
        self, partitions: frozenset[int], watches: Sequence[AdmittedWatch]
    ) -> None:
        tokens = {
            row.tobytes()
            for watch in watches
            for row in rows(watch.registration.tokens, TOKEN)["token"]
        }
        pointers = self._worker.pointers
        found = await pointers.latest(sorted(await pointers.holders(sorted(tokens))))
        await pointers.check()
        places = [(p.partition, p.offset) for p in found.values() if p.partition in partitions]
        places.sort()
        at = max(watch.place.appended_at for watch in watches)
        only = frozenset(map(watched, watches))
        for start in range(0, len(places), TOUCHES_AT_ONCE):
            touches = [
                touch
                for message in await self._store.fetch(places[start : start + TOUCHES_AT_ONCE])
                if (touch := self._admit(message))
                and at < (expires_at(touch.clear.expiry_month) or 0)
            ]
            await self._worker.take_earlier(touches, only)

    def _admit(self, message: Message) -> AdmittedTouch | None:
        match admit_touch(message, self._worker.keys, self._worker.epochs.accepts_touch):
            case AdmittedTouch() as touch:
                return touch
            case Refused() | _:
                return None  # it was quarantined when it came, or its agency has left since


async def _nothing_owned() -> bool:
    return False


def _log(watch: AdmittedWatch) -> Log:
    return watch.place.topic, watch.place.partition
