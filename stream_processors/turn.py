"""Whose turn it is: several batches of touches together, or one other work alone.

    await turn.enter(200)      # of a batch: waits for room, and behind whoever wants to be alone
    turn.leave(200)
    async with turn.alone(): ...

Who takes in watches, takes partitions over or makes pointers whole finds no touch under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Turn:
    """One a worker, and one asker at a time who lets batches in."""

    def __init__(self, *, batches: int, touches: int) -> None:
        """Let in this many batches at once; of large ones fewer, that hold this many touches."""
        self._batches, self._touches = batches, touches
        self._inside = self._inside_touches = self._wanting = 0
        self._alone, self._news = asyncio.Lock(), asyncio.Event()

    async def enter(self, touches: int) -> None:
        """Wait until a batch may begin; one that is alone may have any size."""
        await self._until(lambda: not self._wanting and self._has_room(touches))
        self._inside, self._inside_touches = self._inside + 1, self._inside_touches + touches

    def leave(self, touches: int) -> None:
        """Make room for the next: the batch is done, or has been given up."""
        self._inside, self._inside_touches = self._inside - 1, self._inside_touches - touches
        self._news.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be the only one inside: no batch begins from now on, and those inside end first."""
        self._wanting += 1
        try:
            async with self._alone:
                await self._until(lambda: not self._inside)
                yield
        finally:
            self._wanting -= 1
            self._news.set()

    def _has_room(self, touches: int) -> bool:
        fits = self._inside_touches + touches <= self._touches
        return not self._inside or (self._inside < self._batches and fits)

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._news.clear()
            await self._news.wait()
