"""A record as the agency wrote it, before anything is blinded, and why one was not taken.

A source yields `Record`, `Withdrawal` or `Rejection`; a refusal that is expected is a value, so
that the rest of a batch goes through.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import AwareDatetime, Field

from schemas.areas import AreaPlan
from schemas.parts import Frozen, Identifier, Subject
from schemas.vocabulary import TouchKind


class Contact(Frozen):
    """Whom a partner may call about a record; what is empty comes from the agency's settings."""

    ori: str = ""
    agency: str = ""
    unit: str = ""
    name: str = ""
    phone: str = ""
    email: str = ""
    case_number: str = ""


class Record(Frozen):
    """One entry of an agency's records system, in plaintext."""

    number: str  # unique in the records system, the same over all revisions
    kind: TouchKind
    occurred_at: AwareDatetime | None = None
    place: str = ""
    contact: Contact = Contact()
    subjects: tuple[Subject, ...] = ()
    items: tuple[Identifier, ...] = ()  # tied to no subject, so each of them shares them
    offences: tuple[str, ...] = ()  # NIBRS codes
    indicators: tuple[str, ...] = ()  # keys of vocabulary.INDICATORS
    narrative: str = ""
    canary: bool = Field(default=False, exclude_if=lambda canary: not canary)
    # Of a planned operation: until when, exactly where, and who answers for it.
    until: AwareDatetime | None = Field(default=None, exclude_if=lambda until: until is None)
    area: AreaPlan | None = Field(default=None, exclude_if=lambda area: area is None)
    supervisor: str = Field(default="", exclude_if=lambda supervisor: not supervisor)
    read_from: str = Field(default="", exclude=True)  # for messages; not part of the content


class Withdrawal(Frozen):
    """The records system deleted a record (LEXS publish instruction "Delete")."""

    number: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands: "line 12", "element nc:PersonBirthDate at line 40"."""

    file: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.file}, {self.where}" if self.where else self.file


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one record, or a whole file, was not taken; never what it says."""

    place: Place
    expected: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}; {self.remedy}"


Outcome = Record | Withdrawal | Rejection
