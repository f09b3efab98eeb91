"""What was fetched and is not yet begun: a batch begins at once, but with what can wait a little.

await gathering.put(event, 3, can_wait=False)     # waits itself when very much is here
events = await gathering.next()
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

_Event = TypeVar("_Event")

ENOUGH = 512  # touches that wait: to take them is worth a batch


class Gathering(Generic[_Event]):
    """One a worker; one task puts events in, another takes them out, in their order."""

    def __init__(self, *, most_events: int, batch: int, patience_s: float) -> None:
        """Hold at most so many events; give about `batch` touches at once.

        Events that can wait do so for up to `patience_s`, for one that can't.
        """
        self._most_events, self._batch, self._patience_s = most_events, batch, patience_s
        self._events: deque[tuple[_Event, int]] = deque()
        self._touches = 0
        self._some, self._hurry, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def put(self, event: _Event, touches: int, *, can_wait: bool) -> None:
        """Hold an event of this many touches until a batch begins with it."""
        while len(self._events) >= self._most_events:
            self._room.clear()
            self._hurry.set()
            await self._room.wait()
        self._events.append((event, touches))
        self._touches += touches
        self._some.set()
        if not can_wait or self._touches >= ENOUGH:
            self._hurry.set()

    async def next(self) -> list[_Event]:
        """Return the events of the next batch, at least one."""
        await self._some.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                await self._hurry.wait()
        taken: list[_Event] = []
        count = 0
        while self._events and count < self._batch:
            event, touches = self._events.popleft()
            taken.append(event)
            count += touches
        self._touches -= count
        self._room.set()
        if not self._events:
            self._some.clear()
            self._hurry.clear()
        return taken
