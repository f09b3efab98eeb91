"""Go on whatever happens: retry what may pass, set aside what never will, skip nothing silently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from redis.exceptions import RedisError

from silenthit.bus.clients import Message
from silenthit.errors import RefusedError, RetryError
from stream_processors.admission import Place, Reason, Refused

MAX_TRIES = 4
FIRST_DELAY_S = 0.1
MAX_DELAY_S = 10.0

# A right that is missing may be given back, too: the operator sees the log.
PASSING = (RetryError, RefusedError, RedisError, OSError, TimeoutError)

Take = Callable[[Sequence[Message]], Awaitable[None]]
SetAside = Callable[[Sequence[Refused]], Awaitable[None]]

log = structlog.get_logger(__name__)


async def persist(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Do the work until it succeeds, waiting longer each time, while its failures may pass."""
    delay = FIRST_DELAY_S
    while True:
        try:
            return await work()
        except PASSING as error:
            log.warning("retrying", what=what, error=type(error).__name__, delay_s=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_DELAY_S)


async def take_steadily(messages: Sequence[Message], take: Take, set_aside: SetAside) -> None:
    """Take a batch; return when each message is processed or in quarantine.

    A bug (any failure that is not of the passing kind) is tried a few times, then the batch is
    taken message by message, and the one that still fails is set aside as `worker_error`.
    """
    for attempt in range(MAX_TRIES):
        try:
            return await persist(lambda: take(messages), "batch")
        except Exception:
            log.exception("failed", attempt=attempt)
            await asyncio.sleep(FIRST_DELAY_S * 2**attempt)
    if len(messages) > 1:
        for message in messages:
            await take_steadily([message], take, set_aside)
        return None
    refused = [Refused(Place.of(message), Reason.WORKER_ERROR) for message in messages]
    return await persist(lambda: set_aside(refused), "quarantine")
