"""Which senders send far more than the others: theirs can wait a little, so that nobody else does.

    shares.count(messages)
    shares.can_wait(message)   -> whether it is of such a sender

A flood is taken in bulk, every 20 ms or so, which costs a worker little; each of its touches by
itself would cost what everybody's does. Where only one agency sends, nobody waits for it, and its
touches never do. Senders are believed here, before anything is proven: who sends many in another's
name makes that one's wait, too, for as long as the batch, and is refused in it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

WINDOW_S = 1.0
LIGHT = 25  # touches of a sender in this time that are no burden, whoever else sends
LONGEST = 64  # bytes of a name that are held: an ORI and a key's number are far shorter
TIMES = 3  # of what the others send, each on average


class Headed(Protocol):
    """A message of Kafka, whoever read it."""

    @property
    def headers(self) -> Any:
        """Names and values, in order."""
        ...


class Shares:
    """What each sender sent to one worker in this window and in the one before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock, self._since = clock, clock()
        self._now: Counter[bytes] = Counter()
        self._before: Counter[bytes] = Counter()
        self._heavy: set[bytes] = set()

    def count(self, messages: Iterable[Headed]) -> None:
        """Take notice of messages that have come."""
        self._turn_over()
        came = Counter(map(_sender, messages))
        self._now.update(came)
        self._heavy.update(filter(self._is_heavy, came.keys() - self._heavy))

    def can_wait(self, message: Headed) -> bool:
        """Whether it is of a sender who sends far more than the others, as far as was counted."""
        return bool(self._heavy) and _sender(message) in self._heavy

    def _turn_over(self) -> None:
        passed = self._clock() - self._since
        if passed >= WINDOW_S:
            self._before = self._now if passed < 2 * WINDOW_S else Counter()
            self._now = Counter()
            self._since += passed
            self._heavy = set(filter(self._is_heavy, self._before))

    def _is_heavy(self, sender: bytes) -> bool:
        own = max(self._now[sender], self._before[sender])
        if own <= LIGHT:
            return False
        others = (self._now.keys() | self._before.keys()) - {sender}
        theirs = max(window.total() - window[sender] for window in (self._now, self._before))
        return bool(others) and own * len(others) > TIMES * theirs


def _sender(message: Headed) -> bytes:
    """Return who a message says it is of: an agency's client writes that first."""
    value: bytes | None = message.headers[0][1] if message.headers else None
    return (value or b"")[:LONGEST]
