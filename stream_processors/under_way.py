"""A batch of touches that is under way behind others: what it must wait for, and what not.

What it tells at once it tells as soon as it comes, whatever those ahead of it wait for, so that one
agency's touches do not hold up another's. In order are what follows from one record, and the end of
each: the rest is told and all is pointed to, since a partition's marks say that everything before
them is there. The first ends those behind it together with itself, as far as they have come so far.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from silenthit.bus.clients import Message
from silenthit.errors import RetryError
from stream_processors.batch_admission import Admitted
from stream_processors.rounds import Round

NO_RECORDS: frozenset[bytes] = frozenset()
MOST_TOGETHER = 4_096  # touches whose batches end together: more cost Redis less


def _nothing() -> None:
    """Nobody waits for a batch that is under way alone."""


async def _at_once(_: float) -> None:
    """Nobody is in a hurry beside a batch that is under way alone."""


class AheadFailedError(RetryError):
    """A batch ahead was given up: this one is taken again after it."""


@dataclass(kw_only=True, slots=True)
class Left:
    """What is left to do at a batch's end, beside pointing to what was told."""

    told: Round
    rest: list[Message]  # of other records
    rounds: list[list[Admitted]]  # further ones of those told
    can_wait: bool  # all of `rest` is of who sends far more than the others


@dataclass(eq=False, kw_only=True, slots=True)
class Batch:
    """One batch, from its turn until it is acknowledged: a context, left when it has ended.

    It ends after all ahead of it have.
    """

    ahead: Batch | None = None  # the one that came just before it; None once this has ended
    behind: Batch | None = field(default=None, init=False, repr=False)
    size: int = 0  # touches
    patience_s: float = 0.0  # how long it may wait for those behind
    gives_way_s: float = 0.0  # how long its end may still wait for those who are being told
    pressed: asyncio.Event = field(default_factory=asyncio.Event)  # somebody waits for its end
    # Waits, at most so many seconds, until nobody is just being told.
    lull: Callable[[float], Awaitable[None]] = field(default=_at_once, repr=False)
    when_told: Callable[[], None] = field(default=_nothing, repr=False)
    records: AbstractSet[bytes] = field(default=NO_RECORDS, repr=False)  # once it has begun
    left: Left | None = field(default=None, init=False, repr=False)  # once the others are told
    is_done: bool = field(default=False, init=False)  # its end was that of one ahead
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # ended, or given up
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if self.ahead:
            self.ahead.behind = self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let those behind go on; one that broke off never ends."""
        if error is None:
            self.ended.set()
            self.ahead, self.records, self.left = None, NO_RECORDS, None
        self.give_up()

    @property
    def is_given_up(self) -> bool:
        """Whether it waits to be taken again, or is just being."""
        return self.settled.is_set() and not self.ended.is_set()

    @property
    def is_behind_a_failure(self) -> bool:
        """Whether the one ahead was given up and has not ended yet."""
        return self.ahead is not None and self.ahead.is_given_up

    def give_up(self) -> None:
        """Begin nothing more of it for now; nor do those behind it, until it has ended."""
        self.settled.set()

    def begin(self, records: AbstractSet[bytes]) -> set[bytes]:
        """Say which records it holds; return those that batches ahead have under way."""
        self.records = records
        return {each for batch in self._all_ahead() for each in batch.records & records}

    async def to_be_first(self) -> None:
        """Wait until none is ahead. Raises AheadFailedError when one was given up."""
        if self.ahead:
            await self.ahead.settled.wait()
            if self.is_behind_a_failure:
                raise AheadFailedError("expected the batch ahead done, got it given up")

    def told(self, left: Left) -> None:
        """Say that whoever is told at once has been told, and what is left to do at its end."""
        self.left = left
        self.when_told()

    async def linger(self) -> None:
        """Wait for those behind, as long as it may and nobody waits for its end."""
        if self.patience_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.patience_s):
                    await self.pressed.wait()

    async def give_way(self) -> None:
        """Let those go first who are just being told, as long as it may and nobody waits for it."""
        if self.gives_way_s > 0 and not self.pressed.is_set():
            began = time.monotonic()
            await self.lull(self.gives_way_s)
            self.gives_way_s -= time.monotonic() - began

    def together(self) -> list[Batch]:
        """Return this one and those behind it that can end with it: told, and of other records.

        One that lingers is not among those behind one that does not.
        """
        several, records, size = [self], set(self.records), self.size
        for batch in self._all_behind():
            left, last = batch.left, several[-1].left
            if left is None or batch.is_given_up or (last and last.rounds):
                break
            lingers = left.can_wait and self.left and not self.left.can_wait
            size += batch.size
            if lingers or size > MOST_TOGETHER or records & batch.records:
                break
            records |= batch.records
            several.append(batch)
        return several

    async def to_be_left_alone(self) -> None:
        """Wait until all ahead have ended, however often they are taken again."""
        if self.ahead:
            await self.ahead.ended.wait()

    def _all_ahead(self) -> Iterator[Batch]:
        batch = self.ahead
        while batch is not None:
            yield batch
            batch = batch.ahead

    def _all_behind(self) -> Iterator[Batch]:
        batch = self.behind
        while batch is not None:
            yield batch
            batch = batch.behind
