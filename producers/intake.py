"""Take what a source yields into the outbox, in batches, and count what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from itertools import islice
from typing import Protocol

from producers.operations import OperationLimits
from producers.outbox import Accepted, Outbox
from producers.records import Outcome, Place, Record, Rejection, Withdrawal
from producers.sharing import SharingPolicy
from producers.touch import Draft, Entry, drafted, expiry_month, record_id
from schemas.vocabulary import TouchKind
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
    kept: int = 0  # tips that name nobody: the tip desk has them, the exchange never
    rejected: int = 0

    @property
    def accepted(self) -> int:
        """Records that the outbox or the tip desk holds, or held already as they are."""
        return self.new + self.corrected + self.unchanged + self.kept

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class _Unshared(Withdrawal):
    """A record that the policy does not share, or no longer."""


class TipDesk(Protocol):
    """Whoever answers for tips."""

    def hear(self, tips: Iterable[tuple[bytes, Record]]) -> None:
        """Keep tips, each under its record id. Raises RetryError when they can't be kept."""
        ...

    def forget(self, about: bytes) -> None:
        """Drop a tip whose record was taken back."""
        ...


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
    tips: TipDesk | None = None
    operations: OperationLimits = field(default_factory=OperationLimits)

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

    def take_together(
        self, groups: Sequence[Sequence[Outcome]]
    ) -> list[tuple[Tally, list[Rejection]]]:
        """Accept several groups of outcomes in one write; return what became of each group.

        Raises RetryError when the outbox can't be written; then none of them is kept.
        """
        self._hear(each for outcomes in groups for each in outcomes)
        results: list[tuple[Tally, list[Rejection]]] = [(Tally(), []) for _ in groups]
        drafts: list[Draft] = []
        owners: list[int] = []
        for number, (outcomes, (tally, rejected)) in enumerate(zip(groups, results, strict=True)):
            if not all(isinstance(o, Record) and self.policy.shares(o) for o in outcomes):
                self._keep(drafts, owners, results)
                drafts, owners = [], []
                self._take(list(outcomes), tally, rejected.append)
                continue
            for outcome in outcomes:
                made = self.draft(outcome) if isinstance(outcome, Record) else outcome
                if isinstance(made, Draft):
                    drafts.append(made)
                    owners.append(number)
                elif isinstance(made, Rejection):
                    self._refuse(outcome, made, tally, rejected.append)
        self._keep(drafts, owners, results)
        return results

    def _keep(
        self,
        drafts: list[Draft],
        owners: list[int],
        results: list[tuple[Tally, list[Rejection]]],
    ) -> None:
        """Accept drafts that belong to several groups, and count each with its own."""
        for owner, draft, accepted in zip(owners, drafts, self._accepted(drafts), strict=True):
            tally, rejected = results[owner]
            _count(draft, accepted, tally, rejected.append)

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
        if record.until or record.area:
            try:
                self.operations.check(record, today=0)
            except InputError as error:
                expected, _, remedy = str(error).removeprefix("expected ").partition("; ")
                return Rejection(Place(record.read_from or "the record"), expected, remedy)
        shared = self.policy.without_withheld(record)
        return drafted(shared, self.area_code, narratives=self.narratives)

    def _take(self, batch: list[Outcome], tally: Tally, reject: Reject) -> None:
        self._hear(batch)
        drafts: list[Draft] = []
        for outcome in batch:
            if isinstance(outcome, Record) and not self.policy.shares(outcome):
                tally.withheld += 1
                outcome = _Unshared(number=outcome.number)  # noqa: PLW2901 what left before comes back
            if isinstance(outcome, Withdrawal):
                self._accept(drafts, tally, reject)  # what came before it stays before it
                drafts = []
                self._withdraw(outcome, tally)
                continue
            made = self.draft(outcome) if isinstance(outcome, Record) else outcome
            if isinstance(made, Draft):
                drafts.append(made)
            else:
                self._refuse(outcome, made, tally, reject)
        self._accept(drafts, tally, reject)

    def _hear(self, outcomes: Iterable[Outcome]) -> None:
        """Tell the tip desk before the outbox: a tip may never be a touch alone."""
        if self.tips is not None:
            self.tips.hear(
                (record_id(self.record_secret, each.number), each)
                for each in outcomes
                if isinstance(each, Record) and each.kind is TouchKind.TIP
            )

    def _refuse(self, outcome: Outcome, why: Rejection, tally: Tally, reject: Reject) -> None:
        if self.tips and isinstance(outcome, Record) and outcome.kind is TouchKind.TIP:
            tally.kept += 1
        else:
            _reject(why, tally, reject)

    def _accept(self, drafts: list[Draft], tally: Tally, reject: Reject) -> None:
        for draft, accepted in zip(drafts, self._accepted(drafts), strict=True):
            _count(draft, accepted, tally, reject)

    def _accepted(self, drafts: list[Draft]) -> list[Accepted]:
        if not drafts:
            return []
        named = [(record_id(self.record_secret, each.record.number), each) for each in drafts]
        month = expiry_month(_today(), self.retention_years)
        return self.outbox.accept(named, month, reinstate=self.reinstate, history=self.history)

    def withdraw(self, number: str) -> bool:
        """Take a record back, and what the tip desk has of it. False when it is already.

        Raises InputError for a record that was never accepted here.
        """
        ident = record_id(self.record_secret, number)
        if self.tips is not None:
            self.tips.forget(ident)
        return self.outbox.retract(ident)

    def _withdraw(self, withdrawal: Withdrawal, tally: Tally) -> None:
        try:
            if isinstance(withdrawal, _Unshared):  # the agency has it still, and its tip desk
                ident = record_id(self.record_secret, withdrawal.number)
                tally.withdrawn += self.outbox.retract(ident)
            else:
                tally.withdrawn += self.withdraw(withdrawal.number)
        except InputError:
            # Deleted before it was ever published from here: there is nothing to take back.
            return


def _count(draft: Draft, accepted: Accepted, tally: Tally, reject: Reject) -> None:
    match accepted:
        case Accepted.NEW:
            tally.new += 1
        case Accepted.CORRECTED:
            tally.corrected += 1
        case Accepted.UNCHANGED:
            tally.unchanged += 1
        case Accepted.RETRACTED:
            _reject(_was_retracted(draft.record), tally, reject)


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
