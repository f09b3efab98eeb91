"""Take what a source yields into the outbox, in batches, and count what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from itertools import islice

from producers.outbox import Accepted, Outbox
from producers.records import Outcome, Place, Record, Rejection, Withdrawal
from producers.sharing import SharingPolicy
from producers.touch import Draft, Entry, drafted, expiry_month, record_id
from silenthit.errors import InputError

BATCH = 256

Reject = Callable[[Rejection], None]
Take = Callable[[Iterable[Outcome], Reject], "Tally"]


@dataclass(slots=True)
class Tally:
    """What became of the records of one run."""

    new: int = 0
    corrected: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    withheld: int = 0  # by the sharing policy
    rejected: int = 0

    @property
    def accepted(self) -> int:
        """Records that the outbox holds, or held already as they are."""
        return self.new + self.corrected + self.unchanged

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Intake:
    """One agency's way into its outbox."""

    outbox: Outbox
    record_secret: bytes = field(repr=False)
    area_code: str
    retention_years: int
    narratives: bool = True
    policy: SharingPolicy = field(default_factory=SharingPolicy)
    reinstate: bool = False
    history: bool = False

    def take(
        self,
        outcomes: Iterable[Outcome],
        reject: Reject,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> Tally:
        """Accept every record, in order; tell `reject` of each that is not taken.

        Raises RetryError when the outbox can't be written; taking the same again is harmless.
        """
        tally = Tally()
        for batch in _batches(outcomes):
            self._take(batch, tally, reject)
            on_progress(len(batch))
        return tally

    def entry(self, number: str, outcomes: Iterable[Outcome]) -> Entry:
        """A record as it would be sealed next, from these outcomes, else from the outbox.

        Raises InputError when it is in neither, or can't be taken.
        """
        ident = record_id(self.record_secret, number)
        records = (each for each in outcomes if isinstance(each, Record) and each.number == number)
        record = next(records, None)
        made = self.draft(record) if record else self.outbox.waiting(ident)
        if made is None:
            raise InputError(
                "expected a record of that number in the files or waiting in the outbox; name the "
                "file that it is in"
            )
        if isinstance(made, Rejection):
            raise InputError(str(made))
        month = expiry_month(_today(), self.retention_years)
        revision = self.outbox.revision(ident) + (1 if record else 0)
        return Entry(ident, revision, month, made)

    def draft(self, record: Record) -> Draft | Rejection:
        """The record with its match keys, or why it is not taken."""
        shared = self.policy.without_withheld(record)
        return drafted(shared, self.area_code, narratives=self.narratives)

    def _take(self, batch: list[Outcome], tally: Tally, reject: Reject) -> None:
        drafts: list[Draft] = []
        for outcome in batch:
            if isinstance(outcome, Record) and not self.policy.shares(outcome):
                tally.withheld += 1
                outcome = Withdrawal(number=outcome.number)  # noqa: PLW2901 what left before comes back
            if isinstance(outcome, Withdrawal):
                self._accept(drafts, tally, reject)  # what came before it stays before it
                drafts = []
                self._withdraw(outcome, tally)
                continue
            made = self.draft(outcome) if isinstance(outcome, Record) else outcome
            if isinstance(made, Draft):
                drafts.append(made)
            else:
                _reject(made, tally, reject)
        self._accept(drafts, tally, reject)

    def _accept(self, drafts: list[Draft], tally: Tally, reject: Reject) -> None:
        if not drafts:
            return
        named = [(record_id(self.record_secret, each.record.number), each) for each in drafts]
        month = expiry_month(_today(), self.retention_years)
        results = self.outbox.accept(named, month, reinstate=self.reinstate, history=self.history)
        for draft, result in zip(drafts, results, strict=True):
            match result:
                case Accepted.NEW:
                    tally.new += 1
                case Accepted.CORRECTED:
                    tally.corrected += 1
                case Accepted.UNCHANGED:
                    tally.unchanged += 1
                case Accepted.RETRACTED:
                    _reject(_was_retracted(draft.record), tally, reject)

    def _withdraw(self, withdrawal: Withdrawal, tally: Tally) -> None:
        try:
            tally.withdrawn += self.outbox.retract(record_id(self.record_secret, withdrawal.number))
        except InputError:
            # Deleted before it was ever published from here: there is nothing to take back.
            return


def _reject(rejection: Rejection, tally: Tally, reject: Reject) -> None:
    tally.rejected += 1
    reject(rejection)


def _was_retracted(record: Record) -> Rejection:
    return Rejection(
        Place(record.read_from or "the record"),
        "a record that was not retracted",
        "publish it with --reinstate if it may be shared again",
    )


def _batches(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    source = iter(outcomes)
    while batch := list(islice(source, BATCH)):
        yield batch


def _today() -> date:
    return datetime.now(UTC).date()
