"""How fast history may go: so many records a second, beside the live ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

RECORDS_PER_S = 20.0


@dataclass(slots=True)
class Pace:
    """A bucket of one second's records that fills by `per_s`."""

    per_s: float = RECORDS_PER_S
    clock: Callable[[], float] = time.monotonic
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._level, self._at = self._most, self.clock()

    @property
    def _most(self) -> float:
        return max(1.0, self.per_s)

    def allowed(self, most: int) -> int:
        """How many may go now, up to `most`."""
        now = self.clock()
        self._level = min(self._most, self._level + (now - self._at) * self.per_s)
        self._at = now
        return min(most, int(self._level))

    def went(self, count: int) -> None:
        """Take off what went."""
        self._level -= count

    def wait_s(self) -> float:
        """Seconds until one may go."""
        return max(0.0, (1.0 - self._level) / self.per_s)
