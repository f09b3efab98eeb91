"""The conflict desk, as the agent sees it: a source that gives no records and tells of conflicts.

It reads `conflicts.<ori>` while an operation stands, opens what came, compares exactly, keeps it,
and has the people of the tips' call tree answer for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from producers.conflict_judge import overlaps
from producers.conflicts import Conflicts, KnownConflict
from producers.intake import Take, Tally
from producers.operation_rows import OperationRows, Own
from producers.records import Contact, Record
from producers.tips import Tips
from schemas import codec
from schemas.codec import WireError
from schemas.inquiries import SealedCard
from schemas.operations import Conflict, ConflictBody, ConflictStatus
from schemas.packing import MATCH, rows
from schemas.topics import CONFLICTS
from schemas.vocabulary import TouchKind, is_of_a_subject
from silenthit.blinding.cards import OpenedCard, open_card, open_subjects
from silenthit.blinding.envelope import open_sealed
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from silenthit.errors import SealError, SilentHitError, UnknownSignerError

READ_AT_ONCE = 256
READ_WAIT_S = 0.5
OVER = "this operation is over, or was cancelled"
AWAY = "the other operation moved, was cancelled or is over"
Keys = dict[str, Ed25519PublicKey]
_log = structlog.get_logger(__name__)


@dataclass(kw_only=True, slots=True)
class ConflictDesk:
    """One agency's; for one thread at a time."""

    bus: KafkaSettings
    ori: str
    conflicts: Conflicts
    operations: OperationRows
    keys: Callable[[], Keys]  # of the agencies whose signature is trusted, this one's too
    tips: Tips | None = None  # whose call tree calls somebody
    name: str = "conflicts"
    every_s: float = 2.0
    _reader: TopicReader | None = field(default=None, init=False, repr=False)

    def poll(self, take: Take, stopped: Callable[[], bool] = lambda: False) -> Tally:  # noqa: ARG002 it gives none
        """Take in what came. Raises RetryError or RefusedError; what was not taken comes again."""
        if not self.operations.any():
            return Tally()
        self._end_own()
        if not self.operations.stands():
            self.close()
            return Tally()
        try:
            self._try_again()
            self._take(self._read())
        except SilentHitError:
            self.close()
            raise
        return Tally()

    def receive(self, patience_s: float) -> None:
        """Take in all that there is by now. Raises as `poll`."""
        if not self.operations.stands():
            self._end_own()
            return
        reader = self._open()
        self._end_own()
        self._try_again()
        for messages in reader.read_to_end(timeout=patience_s):
            self._take(messages)

    def close(self) -> None:
        """Close the connection; a next poll makes another."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self) -> TopicReader:
        if self._reader is None:
            topic = CONFLICTS.of(self.ori.lower())
            start = {(topic, part): place for part, place in self.conflicts.places().items()}
            client = f"agency-{self.ori.lower()}-conflicts"
            self._reader = TopicReader(self.bus, [topic], client_id=client, start=start)
        return self._reader

    def _read(self) -> list[Message]:
        return self._open().read(READ_AT_ONCE, READ_WAIT_S)

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            if message.value is not None and message.key is not None:
                self._open_one(message.key, message.value)
        if messages:
            self.conflicts.read_to({each.partition: each.offset + 1 for each in messages})

    def _try_again(self) -> None:
        """Open what waited for a signature that may be trusted by now."""
        for ident, value in self.conflicts.waiting():
            self._open_one(ident, value)

    def _open_one(self, ident: bytes, value: bytes) -> None:
        try:
            found = codec.decode(value, Conflict)
            record, own = (
                self.operations.record(found.record_id),
                self.operations.own(found.record_id),
            )
            if record is None or own is None or found.conflict_id != ident:
                self.conflicts.wait(ident, None)
                return
            sealed = open_sealed(own.reply_key, found.sealed, ident + found.record_id)
            body = codec.decode(sealed, ConflictBody)
            self._hear(ident, found.record_id, record, own, body)
        except UnknownSignerError as error:
            _log.warning("conflict waits for a signer.json", agency=error.organisation)
            self.conflicts.wait(ident, value)
            return
        except (WireError, SealError) as error:
            _log.warning("conflict not opened", conflict=ident.hex(), reason=type(error).__name__)
        except SilentHitError:
            raise
        except Exception as error:  # noqa: BLE001 one that can't be compared stops no other
            _log.error("conflict not compared: a bug", error=type(error).__name__)
            self.conflicts.wait(ident, value)
            return
        self.conflicts.wait(ident, None)

    def _hear(
        self, ident: bytes, record_id: bytes, record: Record, own: Own, body: ConflictBody
    ) -> None:
        if body.status is not ConflictStatus.ACTIVE or body.card is None:
            self._withdraw(ident, AWAY)
            return
        opened = open_card(body.card, own.token_secrets, self.keys())
        found = _in_common(record, opened, body, body.card, own)
        if not found:  # it only seemed so: nobody hears of it
            self._withdraw(ident, AWAY)
            return
        known = self.conflicts.get(ident)
        new = KnownConflict(
            record_id=record_id,
            number=record.number,
            card=opened.card,
            overlaps=found,
            told_at=datetime.fromtimestamp(body.at / 1000, UTC),
            probes=body.probes,
        )
        same = {"told_at": new.told_at, "probes": new.probes}
        if known is None or known.model_copy(update=same) != new:
            self._call(ident, new, record)  # before it is known: after a crash again, and not never
        self.conflicts.put(ident, new)

    def _call(self, ident: bytes, new: KnownConflict, record: Record) -> None:
        _log.info("operation in conflict", conflict=ident.hex()[:10], agency=new.card.ori)
        if self.tips is not None:
            self.tips.hear([(ident, as_tip(new, record))])

    def _withdraw(self, ident: bytes, why: str) -> None:
        known = self.conflicts.get(ident)
        if known is None or known.withdrawn:
            return
        if self.tips is not None:
            self.tips.end(ident, f"withdrawn: {why}")
        self.conflicts.put(ident, known.model_copy(update={"withdrawn": why}))

    def _end_own(self) -> None:
        """What is in conflict with an operation that no longer stands is over."""
        for ident, known in self.conflicts.all(active=True):
            if self.operations.record(known.record_id) is None:
                self._withdraw(ident, OVER)


def _in_common(
    record: Record, opened: OpenedCard, body: ConflictBody, card: SealedCard, own: Own
) -> tuple[str, ...]:
    matched = sorted(
        {
            int(row["touch_subject"])
            for row in rows(card.matches, MATCH)
            if is_of_a_subject(int(row["kind"]))
        }
    )
    parts = dict(zip(matched, body.parts, strict=False))
    subjects = open_subjects(card, parts, own.token_secrets)
    return overlaps(record, opened.card, subjects, len(matched) - len(parts))


def as_tip(known: KnownConflict, record: Record) -> Record:
    """A conflict as the tips' call tree takes it: somebody has to answer for it."""
    card = known.card
    who = ", ".join(filter(None, (card.agency, card.unit, card.name, card.phone, card.email)))
    lines = [
        f"Operation {known.number} is in conflict with one of {card.agency} ({card.ori}).",
        f"Call {who}." + (f" Supervisor: {card.supervisor}." if card.supervisor else ""),
        *known.overlaps,
        f"Told at {known.told_at.isoformat(sep=' ', timespec='seconds')}.",
    ]
    return Record(
        number=f"conflict of {known.number}",
        kind=TouchKind.PLANNED_OPERATION,
        occurred_at=record.occurred_at,
        place=record.place,
        contact=Contact(case_number=record.contact.case_number),
        narrative="\n".join(lines),
    )
