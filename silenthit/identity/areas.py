"""Match keys of a place and a time: two plans that meet in both share one.

    >>> from datetime import UTC, datetime
    >>> at = {"starts_at": datetime(2026, 11, 3, 20, tzinfo=UTC),
    ...       "ends_at": datetime(2026, 11, 3, 23, tzinfo=UTC)}
    >>> raid = AreaPlan(lat=41.310, lon=-72.924, radius_m=200, **at)
    >>> meeting = AreaPlan(lat=41.314, lon=-72.924, radius_m=100, **at)
    >>> in_conflict(raid, meeting, distance_m=500)
    True
    >>> not set(happening_keys(raid)).isdisjoint(asking_keys(meeting, distance_m=500))
    True

A place is cut into quadtree cells, a time into dyadic intervals. Where two plans meet, a piece of
one is the other's or lies in it, in place and in time, on either side: four cases, and a kind of
match key for each. Who holds the larger piece writes it as it is (COVER), who holds the smaller one
writes it with all that hold it (ABOVE). So each side may cut its plan as finely as it likes, and
nothing is missed; what is near, and meets no more than a piece, is told apart by `in_conflict`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from math import ceil, cos, degrees, log2, pi, radians, sqrt

from schemas.areas import AreaPlan
from schemas.vocabulary import MatchKeyKind
from silenthit.errors import InputError
from silenthit.identity.cells import (
    EARTH_M,
    ELLIPSOID,
    ancestors,
    cover,
    great_circle_m,
    level_of,
)
from silenthit.identity.match_keys import MatchKey

FINEST, COARSEST = 16, 12  # levels of cells: 611 m to 9.8 km high
STEP = timedelta(minutes=15)  # the shortest interval; each longer one is two of the next shorter
LONGEST = 9  # doublings of it: 5 days and 8 hours
MOST_STEPS = 48  # that a time is cut into, before intervals are put together
POLAR = 85.0  # degrees; beyond it meridians are too close, and all is one place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NORTH, _SOUTH = 2, 3  # no cell has these numbers
_Interval = tuple[int, int]  # how often STEP is doubled, and how many of those after 1970

_ABOVE_ABOVE = MatchKeyKind.PLACE_ABOVE_TIME_ABOVE
_ABOVE_COVER = MatchKeyKind.PLACE_ABOVE_TIME_COVER
_COVER_ABOVE = MatchKeyKind.PLACE_COVER_TIME_ABOVE
_COVER_COVER = MatchKeyKind.PLACE_COVER_TIME_COVER


def happening_keys(plan: AreaPlan) -> tuple[MatchKey, ...]:
    """The match keys of what will happen there and then.

    Raises InputError for a radius or a time far beyond what any operation has.
    """
    cells, intervals = _cells(plan), _intervals(plan)
    above, since = cells | _cells_above(cells), intervals | _intervals_above(intervals)
    return (
        *_keys(_ABOVE_ABOVE, above, since),
        *_keys(_ABOVE_COVER, above, intervals),
        *_keys(_COVER_ABOVE, cells, since),
        *_keys(_COVER_COVER, cells, intervals),
    )


def asking_keys(plan: AreaPlan, distance_m: float) -> tuple[MatchKey, ...]:
    """The match keys that ask what happens there and then, or within `distance_m` of it.

    Only who asks widens the place. Equal pieces meet by ABOVE on the other side, so what holds a
    piece is asked for without the piece. Raises InputError as `happening_keys` does.
    """
    cells, intervals = _cells(plan, distance_m), _intervals(plan)
    above, since = _cells_above(cells), _intervals_above(intervals)
    return (
        *_keys(_ABOVE_ABOVE, cells, intervals),
        *_keys(_ABOVE_COVER, cells, since),
        *_keys(_COVER_ABOVE, above, intervals),
        *_keys(_COVER_COVER, above, since),
    )


def in_conflict(one: AreaPlan, other: AreaPlan, distance_m: float) -> bool:
    """Whether two plans come within `distance_m` of each other while both last.

    Distances are on the sphere, 0.56 % off at most. One that begins as the other ends does not
    meet it.
    """
    if one.ends_at <= other.starts_at or other.ends_at <= one.starts_at:
        return False
    return apart_m(one, other) <= one.radius_m + other.radius_m + distance_m


def apart_m(one: AreaPlan, other: AreaPlan) -> float:
    """How far the middles of two places are apart, in metres on the sphere."""
    return great_circle_m(one.lat, one.lon, other.lat, other.lon)


def place_level(lat: float, radius_m: float) -> int:
    """How finely a place is cut: cells are no higher than its radius, down to the smallest in use.

    Nearer to a pole, where cells are narrower, they are higher and no more.
    """
    height = radius_m / sqrt(cos(radians(min(abs(lat), POLAR))))
    return max(COARSEST, min(FINEST, ceil(log2(2 * pi * EARTH_M / height))))


def time_level(plan: AreaPlan) -> int:
    """How finely a time is cut: how often STEP is doubled until MOST_STEPS of it are enough."""
    lasts, level = plan.ends_at - plan.starts_at, 0
    while lasts > MOST_STEPS * STEP * 2**level:
        level += 1
    if level > LONGEST:
        raise InputError("expected a time of at most 256 days, got more; take an earlier end")
    return level


def _cells(plan: AreaPlan, wider_m: float = 0.0) -> set[int]:
    """The cells, and the end of the earth, that hold every point of a place."""
    radius = plan.radius_m + wider_m
    reach = degrees(radius * ELLIPSOID / EARTH_M)
    pole = {_NORTH if plan.lat > 0 else _SOUTH} if abs(plan.lat) + reach > POLAR else set()
    if abs(plan.lat) - reach > POLAR:
        return pole
    finest = place_level(plan.lat, radius)
    return pole.union(cover(plan.lat, plan.lon, radius, finest=finest, coarsest=COARSEST))


def _cells_above(cells: set[int]) -> set[int]:
    held = (above for each in cells for above in ancestors(each))
    return {each for each in held if level_of(each) >= COARSEST} - cells


def _intervals(plan: AreaPlan) -> set[_Interval]:
    """The intervals that hold every moment of a time, none in another, and two halves as one."""
    level, found = time_level(plan), set[_Interval]()
    step = STEP * 2**level
    first, end = (plan.starts_at - _EPOCH) // step, -((_EPOCH - plan.ends_at) // step)
    while first < end and level < LONGEST:
        if first % 2:
            found.add((level, first))
            first += 1
        if end % 2:
            end -= 1
            found.add((level, end))
        first, end, level = first // 2, end // 2, level + 1
    return found.union((level, each) for each in range(first, end))


def _intervals_above(intervals: set[_Interval]) -> set[_Interval]:
    return {
        (higher, each >> higher - level)
        for level, each in intervals
        for higher in range(level + 1, LONGEST + 1)
    }


def _keys(kind: MatchKeyKind, cells: set[int], intervals: set[_Interval]) -> tuple[MatchKey, ...]:
    pairs = product(sorted(cells), sorted(intervals))
    return tuple(MatchKey(kind, f"{cell:x} {level}.{number}") for cell, (level, number) in pairs)
