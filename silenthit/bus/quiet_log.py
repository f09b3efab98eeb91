"""The Kafka clients' log, kept readable: what is said again and again is said once a minute.

A client tries a broker whose name does not resolve twenty times a second, and logs each of them.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

EVERY_S = 60.0
_NAME = "silenthit.bus"
_NUMBERS = re.compile(r"\d+")
_MOST_KINDS = 256  # of messages that are remembered


class OncePerMinute(logging.Filter):
    """Lets a message through, then none that differs from it by numbers alone for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        super().__init__()
        self._clock = clock
        self._since: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is logged; the next one says how many were not."""
        kind, now = _NUMBERS.sub("0", record.getMessage()), self._clock()
        if now - self._since.get(kind, now - EVERY_S) < EVERY_S:
            self._held[kind] = self._held.get(kind, 0) + 1
            return False
        if len(self._since) >= _MOST_KINDS:
            self._since.clear()
            self._held.clear()
        self._since[kind] = now
        if held := self._held.pop(kind, 0):
            record.msg, record.args = f"{record.getMessage()} (and {held:,} more like it)", ()
        return True


def bus_log() -> logging.Logger:
    """Return the log of every Kafka client here."""
    found = logging.getLogger(_NAME)
    if not any(isinstance(each, OncePerMinute) for each in found.filters):
        found.addFilter(OncePerMinute())
    return found
