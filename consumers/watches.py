"""A watch: whom a partner waits for, on which legal ground, and who is to be told.

The plaintext stays in the vault; what leaves is `consumers.registrations`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field

from consumers.areas import WatchedArea
from consumers.associations import Association, FollowPolicy
from schemas.areas import AreaPlan
from schemas.parts import ContactCard, Frozen, Subject
from schemas.vocabulary import CoarseKind

FIRST_VALIDATION = timedelta(days=90)
NEXT_VALIDATION = timedelta(days=365)
GRACE = timedelta(days=7)  # an expired watch stands so much longer, while its owner is asked
LONGEST_LIFE = timedelta(days=5 * 365)  # 28 CFR 23.20(h)


class Watch(Frozen):
    """One entry of a partner's private list."""

    label: str  # the only thing of a watch that a channel may show
    legal_basis: str  # 28 CFR 23.20(a): reasonable suspicion, stated
    stated_by: str = ""  # who states it
    subjects: tuple[Subject, ...]  # may be none where there is an area
    expires_at: AwareDatetime  # it leaves the exchange unless it is validated by then
    ends_at: AwareDatetime | None = None  # no validation takes it further, where somebody said so
    reviewed_at: AwareDatetime | None = None  # when it was validated last
    case_number: str = ""
    handling: str = ""  # what to do, and not to do, when it is met
    owner: str = ""  # whose it is, and who stands in: names of users or of the call tree
    backup: str = ""
    kinds: tuple[CoarseKind, ...] = ()  # empty: every kind
    deliver_to: tuple[str, ...] = ()  # names of channels; empty: the partner's default
    page_from: Literal["possible", "hit"] = "possible"  # what is less is in the list only
    min_score: float = Field(default=0.0, ge=0.0, le=1.0)  # triage's probability, likewise
    page_history: bool = False  # also for what an agency sends as history
    follow: FollowPolicy | None = None  # what its hits lead to is watched too, by itself
    association: Association | None = None  # of a watch that was followed to
    basis_at: AwareDatetime | None = None  # since when it stands so: its ground, and on whom
    shows: ContactCard | None = None  # to whoever watches the same and shows theirs; none: nothing
    area: WatchedArea | None = None  # operations planned there and then are told as well

    @property
    def place_alone(self) -> AreaPlan | None:
        """Where and when, of a watch of a place and a time alone: of no use after it."""
        return self.area.plan if self.area is not None and not self.subjects else None

    @property
    def ends_with_its_time(self) -> bool:
        """Whether its time is over before anybody would have to validate it."""
        return self.place_alone is not None and self.expires_at >= self.place_alone.ends_at

    @property
    def leaves_at(self) -> datetime:
        """When it leaves the exchange: what has no owner to wait for does at once."""
        waits = self.association is None and not self.ends_with_its_time
        return self.expires_at + GRACE if waits else self.expires_at

    def stated_since(self, created_at: datetime) -> datetime:
        """Since when its ground is stated for just these subjects; older watches did not say."""
        return self.basis_at or created_at

    def wants(self, decision: str, score: float | None) -> bool:
        """Whether people are to hear of an alert with this decision and score (none: unknown)."""
        certain = decision == "hit" or self.page_from == "possible"
        return certain and (score is None or score >= self.min_score)

    def found_by(self) -> tuple[str, ...]:
        """Return what a person may look it up by: label first, then numbers and names."""
        names = [
            " ".join(filter(None, (name.given, name.middle, name.surname, name.suffix, name.full)))
            for subject in self.subjects
            for name in subject.names
        ]
        numbers = [each.value for subject in self.subjects for each in subject.identifiers]
        plain = ["".join(filter(str.isalnum, each)) for each in numbers]
        plain = [short for short, each in zip(plain, numbers, strict=True) if short != each]
        return (self.label, self.case_number, self.owner, *names, *numbers, *plain)
