"""Move what the outbox holds to the broker: seal the accepted, send, note what is confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime

from producers.operation_publisher import OperationPublisher
from producers.outbox import Outbox, Outgoing, State
from producers.pace import Pace
from producers.touch import Sealer
from schemas import codec
from schemas.topics import HEADER_PROOF, TOUCHES
from silenthit.blinding.retractions import retraction_proof
from silenthit.bus.clients import Delivered, Publisher
from silenthit.bus.sender import SenderKey, sender_headers
from silenthit.errors import RetryError

BATCH = 256  # records in one question to the key holder, and in flight to the broker
MAX_BYTES = 950_000  # of one touch; brokers take a million unless told otherwise
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_GLANCE_S = 0.5


InFlight = dict[Future[Delivered], Outgoing]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Published:
    """What one run did: touches and tombstones confirmed, records too large for any broker."""

    confirmed: int = 0
    refused: int = 0

    def __add__(self, other: Published) -> Published:
        return Published(self.confirmed + other.confirmed, self.refused + other.refused)


@dataclass(frozen=True, slots=True)
class _Sealed:
    any: bool
    refused: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatcher:
    """Sends one agency's outbox. Any step may be repeated: record id and revision stay the same.

    Live records and history are two lanes: `publish` empties the first, `publish_history` takes of
    the second what its pace allows.
    """

    outbox: Outbox
    sealer: Sealer
    bus: Publisher
    sender: SenderKey
    history_sealer: Sealer | None = None  # asks the key holder on another allowance
    operations: OperationPublisher | None = None  # against the other agencies'
    pace: Pace = field(default_factory=Pace)
    confirm_s: float = 130.0  # a little over the two minutes after which the client gives up
    stopped: Callable[[], bool] = lambda: False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def publish(self, on_progress: Progress = lambda _: None) -> Published:
        """Seal and send until nothing live waits; returns once the broker has confirmed all of it.

        What the records schedule says must go by now goes first, as tombstones.

        Raises RetryError when key holder or broker are away; what was not confirmed stays.
        """
        with self.outbox.alone():
            self.outbox.expire(f"{self.now():%Y-%m}")
            self.outbox.forget_kept(self.now())
            return self._publish(self.sealer, BATCH, on_progress)

    def publish_history(self, on_progress: Progress = lambda _: None) -> Published:
        """Send as much of what waits as history as may go now. Raises as `publish` does."""
        if not (most := self.pace.allowed(BATCH)):
            return Published()
        with self.outbox.alone():
            sealer = self.history_sealer or self.sealer
            sent = self._publish(sealer, most, on_progress, history=True)
        self.pace.went(sent.confirmed + sent.refused)
        return sent

    def publish_operations(self) -> Published:
        """Send what waits of planned operations. Raises as `publish` does."""
        if self.operations is None or not self.outbox.operations.any():
            return Published()
        with self.outbox.alone():
            self.operations.publish()
        return Published()  # each of them was counted as a touch

    def _publish(
        self, sealer: Sealer, most: int, on_progress: Progress, *, history: bool = False
    ) -> Published:
        """Send one batch of history, or batches of live records until none is left."""
        epoch = sealer.current_epoch()
        self.outbox.reopen(epoch)
        total, after = Published(), 0
        in_flight: InFlight = {}
        try:
            while not self.stopped():
                sealed = self._seal_batch(sealer, epoch, most, history=history)
                batch = self.outbox.outgoing(most, after, history=history)
                if not sealed.any and not batch:
                    break
                earlier, in_flight = in_flight, {self._send(each): each for _, each in batch}
                after = max((place for place, _ in batch), default=after)
                total += Published(refused=sealed.refused) + self._settled(earlier, on_progress)
                if history:
                    break
        finally:
            total += self._settled(in_flight, on_progress)
        return total

    def publish_patiently(
        self,
        patience_s: float,
        on_progress: Progress = lambda _: None,
        *,
        history: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Published:
        """As `publish`, but when somebody is away try again, ever more seldom, for `patience_s`.

        With `history`, what waits in the slow lane too, at its pace, live records in between.
        """
        total, pause = Published(), _FIRST_PAUSE_S
        deadline = clock() + patience_s
        while True:
            try:
                total += self.publish(on_progress)
                self.publish_operations()
                if history:
                    total += self.publish_history(on_progress)
                if not history or not self.outbox.history_waiting():
                    return total
                sleep(self.pace.wait_s())
                deadline, pause = clock() + patience_s, _FIRST_PAUSE_S
            except RetryError:
                if clock() + pause > deadline:
                    raise
                sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _seal_batch(self, sealer: Sealer, epoch: int, most: int, *, history: bool) -> _Sealed:
        entries = self.outbox.drafts(most, history=history)
        made = sealer.seal(entries, epoch) if entries else []
        touches = [codec.encode(touch) for touch in made]
        fitting = [(e, t) for e, t in zip(entries, touches, strict=True) if len(t) <= MAX_BYTES]
        self.outbox.sealed(fitting, epoch)
        large = [e for e, t in zip(entries, touches, strict=True) if len(t) > MAX_BYTES]
        if large:
            self.outbox.finished(
                [Outgoing(e.record_id, e.revision, None) for e in large], State.REFUSED
            )
        return _Sealed(bool(entries), len(large))

    def _send(self, outgoing: Outgoing) -> Future[Delivered]:
        headers = sender_headers(self.sender, outgoing.record_id, outgoing.touch, outgoing.revision)
        if outgoing.touch is None:
            signed = retraction_proof(self.sealer.signer, outgoing.record_id, outgoing.revision)
            headers += ((HEADER_PROOF, signed),)
        return self.bus.send(TOUCHES.name, outgoing.record_id, outgoing.touch, headers=headers)

    def _wait(self, in_flight: InFlight) -> tuple[set[Future[Delivered]], set[Future[Delivered]]]:
        """Those that the broker answered and those that it did not, by the deadline or a stop."""
        deadline = time.monotonic() + self.confirm_s
        while True:
            done, silent = wait(in_flight, timeout=_GLANCE_S)
            if not silent or self.stopped() or time.monotonic() > deadline:
                return done, silent

    def _settled(self, in_flight: InFlight, on_progress: Progress) -> Published:
        """Wait for the broker's word on every message; note it; then raise what failed."""
        if not in_flight:
            return Published()
        done, silent = self._wait(in_flight)
        failures = {in_flight[future]: future.exception() for future in done}
        confirmed = [each for each, failure in failures.items() if failure is None]
        if confirmed:
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
