"""The sharing policy that an agency owns: whose root reaches which parts of a touch."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from schemas.parts import Subject
from schemas.vocabulary import SubjectRole


class Narrative(StrEnum):
    """When the free text of a record goes into the part that every opener reads."""

    SHARED = "shared"
    UNLESS_PROTECTED = "unless_protected"  # not where a protected subject could be named in it
    WITHHELD = "withheld"


class SharingPolicy(BaseModel):
    """`[sharing]` of agency.toml.

    Every subject's root reaches card, common part and the subjects; a protected subject's part
    only that subject's own root.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protected_roles: frozenset[SubjectRole] = frozenset({SubjectRole.VICTIM})
    protect_minors: bool = True
    narrative: Narrative = Narrative.UNLESS_PROTECTED

    def protects(self, subject: Subject) -> bool:
        """Whether only the subject's own root may reach its part."""
        return subject.role in self.protected_roles or (self.protect_minors and subject.minor)

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
