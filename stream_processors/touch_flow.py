"""The way of touches through a worker: several batches under way at once, and alone what failed.

    with await flow.next(len(messages)) as batch:
        await flow.take(messages, batch)    # everything that follows from them is confirmed
        ...                                 # acknowledge

What fails ends the overlap: those behind it begin nothing more, and each is taken again alone,
with retries, once all ahead of it have ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from silenthit.bus.clients import Message
from stream_processors.partitions import Partitions
from stream_processors.steady import PASSING, SetAside, take_steadily
from stream_processors.turn import Turn
from stream_processors.under_way import Batch

PATIENCE_S = 0.02  # for a flood: longer, and Redis is held too long by what comes together
GIVE_WAY_S = 0.03  # of a flood's end, in all its slices, to those who are just being told

log = structlog.get_logger(__name__)


class TouchFlow:
    """One a worker. Batches are asked for one at a time; they may be taken at once."""

    def __init__(
        self,
        turn: Turn,
        owning: asyncio.Event,
        partitions: Partitions,
        set_aside: SetAside,
        *,
        patience_s: float = PATIENCE_S,
        gives_way_s: float = GIVE_WAY_S,
    ) -> None:
        """`turn` keeps others out; nothing begins unless `owning` is set.

        What fails for good is `set_aside`. What is left of a batch that can wait does so for up to
        `patience_s`, and for what comes meanwhile; in its end a flood gives way to who is being
        told, for up to `gives_way_s`.
        """
        self._turn, self._owning = turn, owning
        self._partitions, self._set_aside = partitions, set_aside
        self._patience_s, self._gives_way_s = patience_s, gives_way_s
        self._last: Batch | None = None

    async def next(self, touches: int) -> Batch:
        """Return the next batch, of this many touches, once it may begin; `take` has to follow."""
        while True:
            await self._owning.wait()
            if self._last is not None and self._last.is_given_up:
                await self._last.ended.wait()
            await self._turn.enter(touches)
            if self._owning.is_set():
                self._last = Batch(
                    ahead=self._last,
                    size=touches,
                    patience_s=self._patience_s,
                    gives_way_s=self._gives_way_s,
                    pressed=self._turn.pressed,
                    lull=self._turn.lull,
                    when_told=self._turn.wait,
                )
                return self._last
            self._turn.leave(touches)

    async def take(self, messages: Sequence[Message], batch: Batch) -> None:
        """Match touches; on return everything that follows from them is confirmed."""
        if not await self._taken_promptly(messages, batch):
            await batch.to_be_left_alone()
            await take_steadily(messages, self._take_alone, self._set_aside)

    async def idle(self) -> None:
        """Wait until every batch so far has ended."""
        if self._last is not None:
            await self._last.ended.wait()

    async def _taken_promptly(self, messages: Sequence[Message], batch: Batch) -> bool:
        try:
            if not batch.is_behind_a_failure:
                await self._partitions.take_touches(messages, batch)
                return True
        except PASSING as error:
            log.warning("to be taken again", touches=len(messages), error=type(error).__name__)
        except Exception:
            log.exception("to be taken again", touches=len(messages))
        finally:
            self._turn.leave(batch.size, waited=batch.left is not None)
        batch.give_up()
        return False

    async def _take_alone(self, messages: Sequence[Message]) -> None:
        async with self._turn.alone():
            await self._partitions.take_again(messages)
