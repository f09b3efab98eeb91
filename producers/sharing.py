"""The sharing policy that an agency owns: whose root reaches which parts of a touch."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from producers.records import Record
from schemas.parts import Subject
from schemas.vocabulary import SubjectRole, TouchKind


class Narrative(StrEnum):
    """When the free text of a record goes into the part that every opener reads."""

    SHARED = "shared"
    UNLESS_PROTECTED = "unless_protected"  # not where a protected subject could be named in it
    WITHHELD = "withheld"


class SharingPolicy(BaseModel):
    """`[sharing]` of agency.toml.

    `kinds` are shared, `never_units` not, `withheld_roles` are left out of every record. Of the
    kinds in `pointer_only` an opener reads the contact card alone. Otherwise every subject's root
    reaches card, common part and the subjects; a protected subject's part only that subject's own.
    By subjects of `unlisted_roles` partners who watch them are alerted, but no look-up finds them;
    the exchange sees which subjects of a touch those are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: frozenset[TouchKind] = frozenset(TouchKind)
    never_units: frozenset[str] = frozenset()
    withheld_roles: frozenset[SubjectRole] = frozenset()
    unlisted_roles: frozenset[SubjectRole] = frozenset()
    pointer_only: frozenset[TouchKind] = frozenset()
    protected_roles: frozenset[SubjectRole] = frozenset({SubjectRole.VICTIM})
    protect_minors: bool = True
    narrative: Narrative = Narrative.UNLESS_PROTECTED

    def shares(self, record: Record) -> bool:
        """Whether a record may leave the agency at all."""
        return record.kind in self.kinds and record.contact.unit not in self.never_units

    def without_withheld(self, record: Record) -> Record:
        """The record without the subjects of withheld roles, nor free text that may name them."""
        kept = tuple(each for each in record.subjects if each.role not in self.withheld_roles)
        if len(kept) == len(record.subjects):
            return record
        narrative = record.narrative if self.narrative is Narrative.SHARED else ""
        return record.model_copy(update={"subjects": kept, "narrative": narrative})

    def protects(self, subject: Subject) -> bool:
        """Whether only the subject's own root may reach its part."""
        return subject.role in self.protected_roles or (self.protect_minors and subject.minor)

    def unlisted(self, subjects: Sequence[Subject]) -> bytes:
        """Numbers, a byte each, of the subjects by whom no look-up may find the touch."""
        hidden = (n for n, each in enumerate(subjects) if each.role in self.unlisted_roles)
        return bytes(hidden)

    def reach(self, subjects: Sequence[Subject]) -> list[frozenset[int]]:
        """For each subject's part, the numbers of the subjects whose root reaches it."""
        everyone = frozenset(range(len(subjects)))
        # Who is only mentioned in a narrative that is not shared may be a protected subject's name.
        unread = not self.shares_narrative(subjects)
        return [
            frozenset({number})
            if self.protects(subject) or (subject.mentioned and unread)
            else everyone
            for number, subject in enumerate(subjects)
        ]

    def shares_narrative(self, subjects: Sequence[Subject]) -> bool:
        """Whether the free text of a record with these subjects is for every opener."""
        if self.narrative is Narrative.UNLESS_PROTECTED:
            return not any(map(self.protects, subjects))
        return self.narrative is Narrative.SHARED
