"""A batch of touches that is under way behind others: what it must wait for, and what not.

Each is matched and told as soon as it comes, whatever those ahead of it wait for, so that one
agency's touches do not hold up another's. In order are admission, by which it is known whose
records are under way; what follows from one record; and pointers, since a partition's marks say
that everything before them is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from silenthit.errors import RetryError

NO_RECORDS: frozenset[bytes] = frozenset()


class AheadFailedError(RetryError):
    """A batch ahead was given up: this one is taken again after it."""


@dataclass(eq=False, kw_only=True, slots=True)
class Batch:
    """One batch, from its turn until it is acknowledged: a context, left when it has ended.

    It ends after all ahead of it have.
    """

    ahead: Batch | None = None  # the one that came just before it; None once this has ended
    size: int = 0  # touches
    records: AbstractSet[bytes] = field(default=NO_RECORDS, repr=False)  # once it is admitted
    admission: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # ended, or given up
    ended: asyncio.Event = field(default_factory=asyncio.Event)

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
            self.ahead, self.records = None, NO_RECORDS
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
        self.admission.set()
        self.settled.set()

    def admitted(self, records: AbstractSet[bytes]) -> None:
        """Say whose records it holds."""
        self.records = records
        self.admission.set()

    def held_ahead(self, records: AbstractSet[bytes]) -> set[bytes]:
        """Return those of the records that batches ahead have under way."""
        return {each for batch in self._all_ahead() for each in batch.records & records}

    async def to_be_admitted(self) -> None:
        """Wait until those ahead are admitted. Raises AheadFailedError when one was given up."""
        if self.ahead:
            await self.ahead.admission.wait()
            self._go_on()

    async def to_be_first(self) -> None:
        """Wait until none is ahead. Raises AheadFailedError when one was given up."""
        if self.ahead:
            await self.ahead.settled.wait()
            self._go_on()

    async def to_be_left_alone(self) -> None:
        """Wait until all ahead have ended, however often they are taken again."""
        if self.ahead:
            await self.ahead.ended.wait()

    def _go_on(self) -> None:
        if self.is_behind_a_failure:
            raise AheadFailedError("expected the batch ahead done, got it given up")

    def _all_ahead(self) -> Iterator[Batch]:
        batch = self.ahead
        while batch is not None:
            yield batch
            batch = batch.ahead
