"""What of a batch is taken, and what can be taken at once: a record once a round.

An agency that sends one record again and again must not make the others wait for each revision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_processors.admission import AdmittedTouch, Refused, Retraction
from stream_processors.batch_admission import Admitted
from stream_processors.outgoing import Outgoing
from stream_processors.pointers import Pointer

# A revision that lived no longer than a new watch takes to be seen may be told or not.
VISIBLE_MS = 1_000


@dataclass(slots=True)
class Round:
    """What touches of different records come to."""

    touches: list[AdmittedTouch] = field(default_factory=list)
    retractions: list[Retraction] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    forgotten: list[Retraction] = field(default_factory=list)  # pointed to no more, nobody is told
    stale: int = 0
    alerts: list[Outgoing] = field(default_factory=list)  # who gets them is written down
    # Where they were pointed to.
    before: Mapping[bytes, Pointer] = field(repr=False, default_factory=dict)

    @property
    def gone(self) -> list[Retraction]:
        """What is pointed to no more."""
        return [*self.retractions, *self.forgotten]


def rounds(admitted: Sequence[Admitted]) -> list[list[Admitted]]:
    """Split a batch so that each round holds a record once: revisions are taken in their order.

    Left out is what another message overtakes, so that nobody need be told of it: an earlier
    revision, a repetition, and a revision with a later one within a second. Of records that two
    agencies claim nothing is left out here: whose they are is not known yet. Of what one agency
    sends in another's name, the last of a second is quarantined.
    """
    found: list[list[Admitted]] = [[]]
    seen: set[bytes] = set()
    for each in _standing(admitted):
        if not isinstance(each, Refused):
            if each.record_id in seen:
                found.append([])
                seen.clear()
            seen.add(each.record_id)
        found[-1].append(each)
    return found


def _standing(admitted: Sequence[Admitted]) -> Iterator[Admitted]:
    left_out: set[int] = set()
    last: dict[bytes, int] = {}
    for number, each in enumerate(admitted):
        if isinstance(each, Refused):
            continue
        before = last.setdefault(each.record_id, number)
        earlier = admitted[before]
        if before == number or isinstance(earlier, Refused) or _are_of_two(each, earlier):
            continue
        if _rank(each) < _rank(earlier) or _says_the_same(each, earlier):
            left_out.add(number)
            continue
        lasted = each.place.appended_at - earlier.place.appended_at
        if _rank(each) > _rank(earlier) and lasted <= VISIBLE_MS:
            left_out.add(before)
        last[each.record_id] = number
    if not left_out:
        return iter(admitted)
    return (each for number, each in enumerate(admitted) if number not in left_out)


def records(several: Sequence[Admitted]) -> set[bytes]:
    """Return the ids of the records of a round."""
    return {each.record_id for each in several if not isinstance(each, Refused)}


def _are_of_two(one: AdmittedTouch | Retraction, other: AdmittedTouch | Retraction) -> bool:
    return one.organisation != other.organisation


def _rank(each: AdmittedTouch | Retraction) -> tuple[int, bool]:
    return each.revision, isinstance(each, Retraction)


def _says_the_same(one: AdmittedTouch | Retraction, other: AdmittedTouch | Retraction) -> bool:
    """Whether one repeats the other: sealed in another epoch, a revision has other tokens."""
    if isinstance(one, AdmittedTouch) and isinstance(other, AdmittedTouch):
        return one.revision == other.revision and one.value == other.value
    return False
