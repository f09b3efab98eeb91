"""Leave a record of each answer before it is given: many at once share a link of the chain."""

from __future__ import annotations

import asyncio

from stream_processors.disclosures import Chain, Given
from stream_processors.outgoing import Outbound


class AnswerDisclosures:
    """The chain of one answering process, which many inquiries write to at a time."""

    def __init__(self, chain: Chain, outbound: Outbound) -> None:
        """`outbound` leads to the partner bus."""
        self._chain, self._outbound = chain, outbound
        self._turn = asyncio.Lock()
        self._waiting: list[Given] = []

    async def leave(self, given: Given) -> None:
        """Return once the entry is confirmed. Raises RetryError when it can't be yet.

        Whoever has the turn takes along what waits. What failed with it is sent again first by the
        next, so nobody returns before the own entry is there.
        """
        self._waiting.append(given)
        async with self._turn:
            taken, self._waiting = self._waiting, []
            links = self._chain.answers(taken)
            if links:
                await self._outbound.send(links)
                self._chain.confirmed(links)

    async def close(self) -> None:
        """End the chain: the process is being stopped in order. Raises RetryError."""
        async with self._turn:
            links = self._chain.close()
            await self._outbound.send(links)
            self._chain.confirmed(links)
