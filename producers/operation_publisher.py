"""Move planned operations to `operations.<ori>`: seal, send, note what the broker confirmed.

Any step may be repeated: record id and revision stay the same.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from datetime import UTC, datetime

from producers.operation_rows import Row
from producers.operation_sealing import seal_operation
from producers.outbox import Outbox
from producers.touch import Entry, Sealer
from schemas import codec
from schemas.topics import OPERATIONS
from silenthit.bus.clients import Publisher
from silenthit.bus.sender import SenderKey, sender_headers
from silenthit.errors import RetryError


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationPublisher:
    """Sends one agency's operations; what is over follows as a tombstone."""

    outbox: Outbox
    sealer: Sealer
    bus: Publisher
    sender: SenderKey
    confirm_s: float = 130.0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def publish(self) -> int:
        """Send what waits; return how many the broker confirmed.

        Raises RetryError when key holder or broker are away; what was not confirmed stays.
        """
        rows = self.outbox.operations
        if not rows.turn(self.now()):
            return 0
        if rows.stands():
            epoch = self.sealer.current_epoch()
            rows.reopen(epoch)
            self._seal(epoch)
        return self._send(rows.outgoing())

    def _seal(self, epoch: int) -> None:
        rows = self.outbox.operations
        for record_id, revision, expires_at, draft in rows.drafts():
            entry = Entry(record_id, revision, f"{self.now():%Y-%m}", draft)
            known = rows.own(record_id)
            message, own = seal_operation(self.sealer, entry, epoch, expires_at, known)
            rows.sealed(record_id, revision, epoch, codec.encode(message), own)

    def _send(self, rows: list[Row]) -> int:
        topic = OPERATIONS.of(self.sender.organisation.lower())
        sent = {}
        for each in rows:
            headers = sender_headers(self.sender, each.record_id, each.message, each.revision)
            sent[self.bus.send(topic, each.record_id, each.message, headers=headers)] = each
        if not sent:
            return 0
        done, silent = wait(sent, timeout=self.confirm_s)
        confirmed = [sent[each] for each in done if each.exception() is None]
        self.outbox.operations.finished(confirmed)
        for failure in filter(None, (each.exception() for each in done)):
            raise failure
        if silent:
            raise RetryError(
                f"expected the broker to confirm {len(silent)} planned operations, got no word; "
                "they are kept: publish again when it is up"
            )
        return len(confirmed)
