"""A worker that is in a hurry: python -m tests.faults.odd_worker SECONDS BUG WORDS…

It is given up and looks after things sooner than in production, so that a schedule is shorter. It
may have another clock, too, or a planted bug.

The clock is what the worker's code reads: `time.time` and the clock of `silenthit.clock`. A library
that moves it beneath Python (libfaketime) makes its waits hang.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from silenthit.cli import main
from silenthit.clock import SystemClock
from stream_processors import app, exchange, kafka_logs, transport
from tests.faults.planted import PLANTED
from tests.faults.schedule import GIVEN_UP_S


def hurry() -> None:
    """Wait a third to half as long as in production."""
    app.SESSION_S, app.HEARTBEAT_S = GIVEN_UP_S, GIVEN_UP_S / 5
    app.COMMIT_S, exchange.LOOK_AFTER_S, kafka_logs.NEWS_EVERY_S = 0.4, 0.4, 0.2
    # Apache Kafka answers as soon as there is a message: only the asking costs.
    transport.FETCH_WAIT_MS = 250


def set_clock(seconds: int) -> None:
    """Let this process believe that it is so much later."""
    real = time.time_ns
    time.time_ns = lambda: real() + seconds * 1_000_000_000
    time.time = lambda: time.time_ns() / 1e9
    SystemClock.now = lambda _: datetime.fromtimestamp(time.time(), UTC)  # type: ignore[method-assign]


if __name__ == "__main__":
    hurry()
    set_clock(int(sys.argv[1]))
    if sys.argv[2] in PLANTED:
        PLANTED[sys.argv[2]][0]()
    sys.argv = ["silenthit", *sys.argv[3:]]
    main()
