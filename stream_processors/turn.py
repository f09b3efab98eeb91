"""Whose turn it is: several batches of touches together, or one other work alone.

    await turn.enter(200)      # of a batch: waits for room, and behind whoever wants to be alone
    turn.wait()                # it has done what it does at once: another may begin
    turn.leave(200)
    async with turn.alone(): ...

Who takes in watches, takes partitions over or makes pointers whole finds no touch under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress


class Turn:
    """One a worker, and one asker at a time who lets batches in."""

    def __init__(self, *, batches: int, touches: int) -> None:
        """Let in this many batches beside those that wait; all hold at most this many touches."""
        self._batches, self._touches = batches, touches
        self._inside = self._inside_touches = self._waiting = 0
        self._wanting = self._pressed_by = 0
        self._alone, self._news = asyncio.Lock(), asyncio.Event()
        self.pressed = asyncio.Event()  # somebody waits for those inside that wait

    async def enter(self, touches: int) -> None:
        """Wait until a batch may begin; one that is alone may have any size."""
        with nullcontext() if self._fits(touches) else self._pressing():
            await self._until(lambda: not self._wanting and self._has_room(touches))
        self._inside, self._inside_touches = self._inside + 1, self._inside_touches + touches

    def wait(self) -> None:
        """Make room for the next to begin: from now on the batch only waits for its end."""
        self._waiting += 1
        self._news.set()

    def leave(self, touches: int, *, waited: bool = False) -> None:
        """Be done, or given up."""
        self._inside, self._inside_touches = self._inside - 1, self._inside_touches - touches
        self._waiting -= waited
        self._news.set()

    async def lull(self, longest_s: float) -> None:
        """Wait until no batch does what it does at once, at most so long."""
        if self._inside != self._waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(longest_s):
                    await self._until(lambda: self._inside == self._waiting)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be the only one inside: no batch begins from now on, and those inside end first."""
        self._wanting += 1
        try:
            async with self._alone:
                with self._pressing():
                    await self._until(lambda: not self._inside)
                yield
        finally:
            self._wanting -= 1
            self._news.set()

    def _has_room(self, touches: int) -> bool:
        return self._fits(touches) and self._inside - self._waiting < self._batches

    def _fits(self, touches: int) -> bool:
        return not self._inside or self._inside_touches + touches <= self._touches

    @contextmanager
    def _pressing(self) -> Iterator[None]:
        self._pressed_by += 1
        self.pressed.set()
        try:
            yield
        finally:
            self._pressed_by -= 1
            if not self._pressed_by:
                self.pressed.clear()

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._news.clear()
            await self._news.wait()
