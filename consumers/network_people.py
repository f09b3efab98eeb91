"""People of several records who are one: the same number, or the same name and birth date.

Less than that keeps them apart: a picture that shows one person twice is better than one that
makes one of two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from consumers.opened_alerts import OpenedAlert
from schemas.parts import Subject
from schemas.vocabulary import MatchKeyKind
from silenthit.identity.compare import Decision
from silenthit.identity.match_keys import match_keys

_SAME = {
    MatchKeyKind.SSN,
    MatchKeyKind.FBI_NUMBER,
    MatchKeyKind.STATE_ID,
    MatchKeyKind.DRIVER_LICENCE,
    MatchKeyKind.PASSPORT,
    MatchKeyKind.A_NUMBER,
    MatchKeyKind.NAME_BIRTH_DATE,
}
_ID_DIGITS = 12


class Seen(Protocol):
    """What is needed of a sighting."""

    @property
    def record(self) -> bytes:
        """The record's id."""
        ...

    @property
    def opened(self) -> OpenedAlert:
        """The alert."""
        ...

    @property
    def step(self) -> int:
        """Steps from the watch that was placed."""
        ...


@dataclass(slots=True)
class People:
    """Which subject of which record is which person."""

    above: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, seen: Sequence[Seen]) -> People:
        """Put the subjects of these together."""
        people = cls()
        for each in seen:
            for number, subject in each.opened.subjects.items():
                own = _own(each.record, number)
                for mark in _marks(subject):
                    people.join(own, mark)
            verdict = each.opened.verdict
            if each.step == 0 and verdict is not None and verdict.decision is Decision.HIT:
                watched = f"watched {verdict.watch_subject}"
                people.join(_own(each.record, verdict.touch_subject), watched)
        return people

    def join(self, one: str, other: str) -> None:
        """Say that these are one."""
        low, high = sorted((self.top(one), self.top(other)))
        self.above[high] = low

    def top(self, each: str) -> str:
        """Return what stands for all that are one with this."""
        while (above := self.above.get(each, each)) != each:
            each = above
        return each

    def id_of(self, record: bytes, number: int) -> str:
        """Return the id of the person that a record's subject is."""
        digest = sha256(self.top(_own(record, number)).encode()).hexdigest()
        return f"person:{digest[:_ID_DIGITS]}"


def _own(record: bytes, number: int) -> str:
    return f"{record.hex()} {number}"


def _marks(subject: Subject) -> list[str]:
    return [f"{key.kind.name} {key.value}" for key in match_keys(subject) if key.kind in _SAME]
