"""Associations: what a watch remembers that was followed to, and how it is said.

>>> from datetime import datetime
>>> seen = datetime(2026, 11, 2, tzinfo=UTC)
>>> one = Association(root="ab", alert_id="cd", kind=IdentifierKind.PHONE, step=1, seen_at=seen,
...                   record_number="H-12", policy=FollowPolicy())
>>> said(one)
'by association: the phone first seen with the subject on 2026-11-02, in touch H-12'
"""

from __future__ import annotations

from datetime import UTC

from pydantic import AwareDatetime, Field

from schemas.parts import Frozen
from schemas.vocabulary import IdentifierKind

# The task force's own: it stands wherever people are shown to be connected.
WARNING = (
    "People can be shown to be connected without being associates, friends or partners in "
    "anything: they share a phone, a car or an address with somebody, or were in one place. This "
    "is a lead to look into, never a ground to act on."
)
MOST_STEPS = 3
FOLLOWABLE = (  # what people share; an address alone finds nobody by the match rule
    IdentifierKind.PHONE,
    IdentifierKind.EMAIL,
    IdentifierKind.SOCIAL_HANDLE,
    IdentifierKind.PLATE,
    IdentifierKind.VIN,
    IdentifierKind.DEVICE,
    IdentifierKind.PAYMENT,
)
KIND_WORDS = {IdentifierKind.SOCIAL_HANDLE: "handle", IdentifierKind.VIN: "VIN"}


class FollowPolicy(Frozen):
    """How far a watch may be followed, and what not."""

    steps: int = Field(default=1, ge=1, le=MOST_STEPS)  # a child of a child is the second
    most: int = Field(default=25, ge=1, le=200)  # child watches that stand, of all steps together
    days: int = Field(default=30, ge=1, le=365)  # a child's life, never longer than its parent's
    carried_by_most: int = Field(default=16, ge=1, le=4096)  # records; what more carry is let go
    kinds: tuple[IdentifierKind, ...] = ()  # empty: every one of FOLLOWABLE
    companions: bool = False  # also what belongs to others in the touch; never victims or witnesses


class Association(Frozen):
    """Where a followed watch comes from."""

    root: str  # watch id in hex: of the watch that somebody placed on stated grounds
    alert_id: str  # in hex: of the alert it was seen in
    kind: IdentifierKind
    step: int
    seen_at: AwareDatetime | None = None  # when it was seen with the subject
    record_number: str = ""
    policy: FollowPolicy
    let_go: str = ""  # why it is followed no more, such as that half the town carries it


def kind_word(kind: IdentifierKind) -> str:
    """Return the word for it, such as phone, handle or plate."""
    return KIND_WORDS.get(kind, kind.value.replace("_", " "))


def said(each: Association) -> str:
    """Return by which association an alert came; it names the record and stays with the partner."""
    touch = f", in touch {each.record_number}" if each.record_number else ""
    return f"by association: {_seen(each)}{touch}"


def said_anywhere(each: Association) -> str:
    """Return the same without the record."""
    return f"by association: {_seen(each)}"


def _seen(each: Association) -> str:
    when = f" on {each.seen_at.astimezone(UTC):%Y-%m-%d}" if each.seen_at else ""
    if each.step == 1:
        return f"the {kind_word(each.kind)} first seen with the subject{when}"
    return f"the {kind_word(each.kind)} first seen{when}, {each.step} steps from the subject"
