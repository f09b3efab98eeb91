"""Compare two operations exactly, before a person is told: tokens alone say too much.

Both agencies have the same rule and the same distance, so that they come to one conclusion.
"""

from __future__ import annotations

from collections.abc import Mapping

from producers.operation_sealing import shown
from producers.records import Record
from producers.touch import place_of
from schemas.areas import AreaPlan
from schemas.operations import DISTANCE_M
from schemas.parts import ContactCard, Subject
from silenthit.identity.areas import apart_m, in_conflict
from silenthit.identity.compare import Decision, compare

NOT_SHOWN = "a subject, whom the other agency does not show"


def overlaps(
    own: Record, card: ContactCard, subjects: Mapping[int, Subject], unshown: int
) -> tuple[str, ...]:
    """Say what two operations have in common, a line each; nothing where it only seemed so.

    `subjects` are the other's that were matched and shown, `unshown` how many were not.
    """
    found = []
    if own.area and card.area and in_conflict(own.area, card.area, DISTANCE_M):
        found.append(_place_and_time(own.area, card.area))
    place = place_of(own)
    for number in range(len(own.subjects)):
        ours = shown(own, number)
        if number != place and any(_alike(ours, each) for each in subjects.values()):
            found.append(f"subject: {_said(ours)}")
    if unshown or any(_blank(each) for each in subjects.values()):
        found.append(NOT_SHOWN)
    return tuple(found)


def _place_and_time(one: AreaPlan, other: AreaPlan) -> str:
    begin = max(one.starts_at, other.starts_at).astimezone(one.starts_at.tzinfo)
    end = min(one.ends_at, other.ends_at).astimezone(one.starts_at.tzinfo)
    return (
        f"place and time: {apart_m(one, other):,.0f} m apart, both from "
        f"{begin.isoformat(sep=' ', timespec='minutes')} until "
        f"{end.isoformat(sep=' ', timespec='minutes')}"
    )


def _alike(one: Subject, other: Subject) -> bool:
    """Whether either way round they may be one: both sides have to come to the same."""
    return any(
        compare(a, b).decision is not Decision.DISCARDED for a, b in ((one, other), (other, one))
    )


def _blank(subject: Subject) -> bool:
    return not (subject.names or subject.birth_dates or subject.identifiers)


def _said(subject: Subject) -> str:
    for name in subject.names:
        text = name.full or " ".join(filter(None, (name.given, name.middle, name.surname)))
        if text:
            return text
    return next((each.value for each in subject.identifiers), "without a name")
