"""A worker with another clock or a planted bug: python -m tests.faults.odd_worker S BUG WORDS…

The clock is what the worker's code reads: `time.time` and the clock of `silenthit.clock`. A library
that moves it beneath Python (libfaketime) makes its waits hang.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from silenthit.cli import main
from silenthit.clock import SystemClock
from tests.faults.planted import PLANTED


def set_clock(seconds: int) -> None:
    """Let this process believe that it is so much later."""
    real = time.time_ns
    time.time_ns = lambda: real() + seconds * 1_000_000_000
    time.time = lambda: time.time_ns() / 1e9
    SystemClock.now = lambda _: datetime.fromtimestamp(time.time(), UTC)  # type: ignore[method-assign]


if __name__ == "__main__":
    set_clock(int(sys.argv[1]))
    if sys.argv[2] in PLANTED:
        PLANTED[sys.argv[2]][0]()
    sys.argv = ["silenthit", *sys.argv[3:]]
    main()
