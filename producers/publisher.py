"""Move what the outbox holds to the broker: seal the accepted, send, note what is confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import UTC, date, datetime

from producers.outbox import Outbox, Outgoing, State
from producers.touch import Sealer
from schemas import codec
from schemas.topics import TOUCHES
from silenthit.bus.clients import Delivered, Publisher
from silenthit.bus.sender import SenderKey, sender_headers
from silenthit.errors import RetryError

BATCH = 256  # records in one question to the key holder, and in flight to the broker
MAX_BYTES = 950_000  # of one touch; brokers take a million unless told otherwise
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_GLANCE_S = 0.5


InFlight = dict[Future[Delivered], Outgoing]


@dataclass(frozen=True, slots=True)
class Published:
    """What one run did: touches and tombstones confirmed, records too large for any broker."""

    confirmed: int = 0
    refused: int = 0

    def __add__(self, other: Published) -> Published:
        return Published(self.confirmed + other.confirmed, self.refused + other.refused)


@dataclass(frozen=True, slots=True)
class _Batch:
    any: bool
    refused: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatcher:
    """Sends one agency's outbox. Any step may be repeated: record id and revision stay the same."""

    outbox: Outbox
    sealer: Sealer
    bus: Publisher
    sender: SenderKey
    confirm_s: float = 130.0  # a little over the two minutes after which the client gives up
    stopped: Callable[[], bool] = lambda: False
    today: Callable[[], date] = lambda: datetime.now(UTC).date()

    def publish(self, on_progress: Callable[[int], None] = lambda _: None) -> Published:
        """Seal and send until nothing waits; returns once the broker has confirmed all of it.

        What the records schedule says must go by now goes first, as tombstones.

        Raises RetryError when key holder or broker are away; what was not confirmed stays.
        """
        with self.outbox.alone():
            return self._publish(on_progress)

    def _publish(self, on_progress: Callable[[int], None]) -> Published:
        self.outbox.expire(f"{self.today():%Y-%m}")
        epoch = self.sealer.current_epoch()
        self.outbox.reopen(epoch)
        total, after = Published(), 0
        in_flight: InFlight = {}
        try:
            while not self.stopped():
                sealed = self._seal_batch(epoch)
                batch = self.outbox.outgoing(BATCH, after)
                if not sealed.any and not batch:
                    break
                earlier, in_flight = in_flight, {self._send(each): each for _, each in batch}
                after = max((place for place, _ in batch), default=after)
                total += Published(refused=sealed.refused) + self._settled(earlier, on_progress)
        finally:
            total += self._settled(in_flight, on_progress)
        return total

    def publish_patiently(
        self,
        patience_s: float,
        on_progress: Callable[[int], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Published:
        """As `publish`, but when somebody is away try again, ever more seldom, for `patience_s`."""
        deadline, pause = clock() + patience_s, _FIRST_PAUSE_S
        while True:
            try:
                return self.publish(on_progress)
            except RetryError:
                if clock() + pause > deadline:
                    raise
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _seal_batch(self, epoch: int) -> _Batch:
        entries = self.outbox.drafts(BATCH)
        made = self.sealer.seal(entries, epoch) if entries else []
        touches = [codec.encode(touch) for touch in made]
        fitting = [(e, t) for e, t in zip(entries, touches, strict=True) if len(t) <= MAX_BYTES]
        self.outbox.sealed(fitting, epoch)
        large = [e for e, t in zip(entries, touches, strict=True) if len(t) > MAX_BYTES]
        self.outbox.finished(
            [Outgoing(e.record_id, e.revision, None) for e in large], State.REFUSED
        )
        return _Batch(bool(entries), len(large))

    def _send(self, outgoing: Outgoing) -> Future[Delivered]:
        headers = sender_headers(self.sender, outgoing.record_id, outgoing.touch, outgoing.revision)
        return self.bus.send(TOUCHES.name, outgoing.record_id, outgoing.touch, headers=headers)

    def _wait(self, in_flight: InFlight) -> tuple[set[Future[Delivered]], set[Future[Delivered]]]:
        """Those that the broker answered and those that it did not, by the deadline or a stop."""
        deadline = time.monotonic() + self.confirm_s
        while True:
            done, silent = wait(in_flight, timeout=_GLANCE_S)
            if not silent or self.stopped() or time.monotonic() > deadline:
                return done, silent

    def _settled(self, in_flight: InFlight, on_progress: Callable[[int], None]) -> Published:
        """Wait for the broker's word on every message; note it; then raise what failed."""
        done, silent = self._wait(in_flight)
        failures = {in_flight[future]: future.exception() for future in done}
        confirmed = [each for each, failure in failures.items() if failure is None]
        self.outbox.finished(confirmed)
        on_progress(len(confirmed))
        for failure in filter(None, failures.values()):
            raise failure
        if silent:
            raise RetryError(
                f"expected the broker to confirm within {self.confirm_s:g} s, got no word on "
                f"{len(silent)} messages; they are kept: publish again when it is up"
            )
        return Published(len(confirmed))
