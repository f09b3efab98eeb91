"""Read old touches for many look-ups at once: what is asked meanwhile is read in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from schemas.topics import TOUCHES
from silenthit.bus.clients import Message
from silenthit.bus.fetch import PlaceReader

Place = tuple[int, int]  # partition and offset
_MOST_AT_ONCE = 256


class KafkaTouches:
    """Touches out of the topic, through one connection whose turns are shared by all who ask."""

    def __init__(self, reader: PlaceReader) -> None:
        """`reader` is open on the agency bus, and nobody else's."""
        self._reader = reader
        self._wanted: dict[Place, asyncio.Future[Message | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def read(self, places: Sequence[Place]) -> list[Message]:
        """Return the touches that still lie there. Raises RetryError when the broker is away."""
        loop = asyncio.get_running_loop()
        waited = [self._wanted.setdefault(place, loop.create_future()) for place in places]
        if waited and (self._reading is None or self._reading.done()):
            self._reading = loop.create_task(self._read_all())
        found = await asyncio.gather(*waited)
        return [message for message in found if message is not None]

    async def _read_all(self) -> None:
        """Read until nobody waits; who asks during a turn is served in the next."""
        while self._wanted:
            taken = dict(list(self._wanted.items())[:_MOST_AT_ONCE])
            for place in taken:
                del self._wanted[place]
            await self._turn(taken)

    async def _turn(self, taken: dict[Place, asyncio.Future[Message | None]]) -> None:
        try:
            messages = await asyncio.to_thread(self._reader.fetch, TOUCHES.name, taken)
        except BaseException as error:
            for future in taken.values():
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        found = {(message.partition, message.offset): message for message in messages}
        for place, future in taken.items():
            if not future.done():
                future.set_result(found.get(place))
