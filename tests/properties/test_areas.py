"""Plans that meet in place and time share a match key, at every border; others by bounds do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from math import asin, atan2, cos, degrees, hypot, radians, sin, sqrt

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.areas import AreaPlan
from schemas.vocabulary import MatchKeyKind, TokenClass
from silenthit.blinding.prf import token_class
from silenthit.errors import InputError
from silenthit.identity import areas
from silenthit.identity.cells import EARTH_M
from silenthit.identity.match_keys import MatchKey

YEAR = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST = timedelta(days=31)
MOST_KEYS = 2048  # at radius 5 km and 31 days, widened by 5 km

Meeting = tuple[AreaPlan, AreaPlan, float]

# Where cells of the levels in use meet, and where the globe's own seams are.
SIDES = st.builds(lambda n, level: n * 360 / 2**level, st.integers(-9000, 9000),
                  st.sampled_from([12, 13, 14, 15, 16]))  # fmt: skip
LATITUDES = (
    st.floats(-90, 90)
    | SIDES.map(lambda each: max(-90.0, min(90.0, each)))
    | st.sampled_from([90.0, -90.0, 85.0, -85.0, 84.99, 85.03, 89.999, 0.0])
)
LONGITUDES = (
    st.floats(-180, 180)
    | SIDES.map(lambda each: (each + 180) % 360 - 180)
    | st.sampled_from([180.0, -180.0, 179.9999, -179.9999, 0.0])
)
RADII = st.floats(1, 5000) | st.sampled_from([1.0, 50.0, 500.0, 611.0, 1222.0, 5000.0])
DISTANCES = st.floats(0, 5000) | st.sampled_from([0.0, 1000.0])
SHARES = st.floats(0, 1) | st.sampled_from([0.0, 0.999999, 1.0])
QUARTERS = st.integers(0, 40_000).map(lambda n: YEAR + n * areas.STEP)
MOMENTS = QUARTERS | st.timedeltas(timedelta(0), timedelta(days=365)).map(lambda t: YEAR + t)
LENGTHS = st.timedeltas(timedelta(milliseconds=1), LONGEST) | st.sampled_from(
    [areas.STEP, timedelta(hours=4), timedelta(hours=16), timedelta(days=14), LONGEST]
)


def reached(lat: float, lon: float, turn: float, metres: float) -> tuple[float, float]:
    """Where one arrives who goes so far in a direction, on the sphere."""
    a, far, way = radians(lat), metres / EARTH_M, radians(turn)
    end = asin(max(-1.0, min(1.0, sin(a) * cos(far) + cos(a) * sin(far) * cos(way))))
    across = atan2(sin(way) * sin(far) * cos(a), cos(far) - sin(a) * sin(end))
    east = (lon + degrees(across) + 180) % 360 - 180
    return max(-90.0, min(90.0, degrees(end))), east


def apart_m(one: AreaPlan, other: AreaPlan) -> float:
    """How far two middles are apart: by vectors, unlike the code that is tested."""
    (a, b, c), (x, y, z) = (
        (cos(radians(p.lat)) * cos(radians(p.lon)), cos(radians(p.lat)) * sin(radians(p.lon)),
         sin(radians(p.lat))) for p in (one, other)
    )  # fmt: skip
    crossed = sqrt((b * z - c * y) ** 2 + (c * x - a * z) ** 2 + (a * y - b * x) ** 2)
    return EARTH_M * atan2(crossed, a * x + b * y + c * z)


def last_together(one: AreaPlan, other: AreaPlan) -> bool:
    return max(one.starts_at, other.starts_at) < min(one.ends_at, other.ends_at)


@st.composite
def near(draw: st.DrawFn, shares: st.SearchStrategy[float]) -> tuple[AreaPlan, AreaPlan, float]:
    """Draw two plans at a share of the distance at which they just meet, at any two times."""
    lat, lon, start = draw(LATITUDES), draw(LONGITUDES), draw(MOMENTS)
    one = AreaPlan(
        lat=lat, lon=lon, radius_m=draw(RADII), starts_at=start, ends_at=start + draw(LENGTHS)
    )
    radius, distance = draw(RADII), draw(DISTANCES)
    far = draw(shares) * (one.radius_m + radius + distance)
    there = reached(lat, lon, draw(st.floats(0, 360)), far)
    begin = draw(MOMENTS)
    other = AreaPlan(lat=there[0], lon=there[1], radius_m=radius,
                     starts_at=begin, ends_at=begin + draw(LENGTHS))  # fmt: skip
    return one, other, distance


@st.composite
def meetings(draw: st.DrawFn) -> Meeting:
    """Draw two plans that come within the distance of each other while both last."""
    one, other, distance = draw(near(SHARES))
    lasts = other.ends_at - other.starts_at
    earliest = one.starts_at - lasts + timedelta(milliseconds=1)
    latest = one.ends_at - timedelta(milliseconds=1)
    begin = draw(
        st.sampled_from([earliest, latest, one.starts_at])
        | st.floats(0, 1).map(lambda share: earliest + share * (latest - earliest))
    )
    moved = other.model_copy(update={"starts_at": begin, "ends_at": begin + lasts})
    assume(last_together(one, moved))
    return one, moved, distance


def common(one: AreaPlan, other: AreaPlan, distance_m: float) -> set[MatchKey]:
    happening, asking = areas.happening_keys(one), areas.asking_keys(other, distance_m)
    return set(happening).intersection(asking)


def nothing_is_missed(meeting: Meeting) -> None:
    one, other, distance = meeting
    assert common(one, other, distance)
    assert common(other, one, distance)


@settings(max_examples=300)
@given(meetings())
def test_what_meets_in_place_and_time_shares_a_key_whoever_asks(meeting: Meeting) -> None:
    nothing_is_missed(meeting)


def of_kinds(*kinds: MatchKeyKind) -> object:
    everything = areas.happening_keys
    return lambda plan: tuple(key for key in everything(plan) if key.kind in kinds)


KINDS = [kind for kind in MatchKeyKind if kind.name.startswith("PLACE_")]


@pytest.mark.parametrize("left", [KINDS[::3], KINDS[1:3], *(KINDS[:n] + KINDS[n + 1 :]
                                  for n in range(4))])  # fmt: skip
def test_the_property_catches_it_when_one_of_the_four_kinds_is_left_out(
    left: list[MatchKeyKind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(areas, "happening_keys", of_kinds(*left))
    quick = settings(
        max_examples=500,
        phases=(Phase.generate,),
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises(AssertionError):
        quick(given(meetings())(nothing_is_missed))()


@given(near(SHARES | st.floats(1, 3)))
@example((AreaPlan(lat=90, lon=0, radius_m=10, starts_at=YEAR, ends_at=YEAR + LONGEST),
          AreaPlan(lat=89.999, lon=77, radius_m=10, starts_at=YEAR, ends_at=YEAR + LONGEST),
          100.0))  # fmt: skip
def test_the_exact_comparison_is_plain_geometry_and_time(plans: Meeting) -> None:
    one, other, distance = plans
    beyond = apart_m(one, other) - (one.radius_m + other.radius_m + distance)
    assume(abs(beyond) > 0.01)
    expected = beyond < 0 and last_together(one, other)
    assert areas.in_conflict(one, other, distance) is expected
    assert areas.in_conflict(other, one, distance) is expected


def test_one_that_begins_as_the_other_ends_does_not_meet_it() -> None:
    noon = YEAR + timedelta(hours=12)
    morning = AreaPlan(lat=41, lon=-72, radius_m=10, starts_at=YEAR, ends_at=noon)
    evening = morning.model_copy(update={"starts_at": noon, "ends_at": noon + LONGEST})
    assert not areas.in_conflict(morning, evening, 0)
    assert not areas.in_conflict(evening, morning, 0)


def reach_m(lat: float, radius_m: float) -> float:
    """How far beyond its circle a place may find, at most: a cell's diagonal and 0.6 %."""
    side = radians(360 / 2 ** areas.place_level(lat, radius_m)) * EARTH_M
    return 0.006 * radius_m + hypot(side, side) + 0.01


@given(plans=near(st.floats(1, 8)), seen=st.booleans())
def test_what_is_farther_apart_than_the_stated_over_reach_shares_no_key(
    plans: Meeting, seen: bool
) -> None:
    one, other, distance = plans
    assume(max(abs(one.lat), abs(other.lat)) < areas.POLAR - 0.3)
    other = other.model_copy(update={"starts_at": one.starts_at, "ends_at": one.ends_at})
    reach = reach_m(one.lat, one.radius_m) + reach_m(other.lat, other.radius_m + distance)
    far = one.radius_m + other.radius_m + distance + reach
    there = reached(one.lat, one.lon, 90.0 * seen, far)
    other = other.model_copy(update={"lat": there[0], "lon": there[1]})
    assume(areas.place_level(other.lat, other.radius_m + distance) ==
           areas.place_level(plans[1].lat, other.radius_m + distance))  # fmt: skip
    assert not common(one, other, distance)


@given(plans=near(SHARES), after=st.booleans(), share=st.floats(0, 5) | st.just(0.0))
def test_what_is_later_by_the_stated_over_reach_shares_no_key(
    plans: Meeting, after: bool, share: float
) -> None:
    one, other, distance = plans
    steps = [areas.STEP * 2 ** areas.time_level(each) for each in (one, other)]
    lasts, gap = other.ends_at - other.starts_at, sum(steps, timedelta()) * (1 + share)
    begin = one.ends_at + gap if after else one.starts_at - gap - lasts
    moved = other.model_copy(update={"starts_at": begin, "ends_at": begin + lasts})
    assert not common(one, moved, distance)


@given(plans=near(SHARES))
def test_a_plan_has_few_keys_all_of_the_class_of_places_and_times(plans: Meeting) -> None:
    one, other, distance = plans
    for keys in (areas.happening_keys(one), areas.asking_keys(other, distance)):
        assert 0 < len(keys) == len(set(keys)) <= MOST_KEYS
        assert {token_class(key) for key in keys} == {TokenClass.PLACE_TIME}


def test_the_cells_and_intervals_are_canonical_so_that_a_plan_written_twice_has_the_same_keys() -> (
    None
):
    for lat, lon in product((0.0, 41.31, 84.97, 90.0), (-180.0, 180.0)):
        plan = AreaPlan(lat=lat, lon=lon, radius_m=700, starts_at=YEAR, ends_at=YEAR + LONGEST)
        again = plan.model_copy(update={"lon": -lon})
        assert areas.happening_keys(plan) == areas.happening_keys(again)


def test_a_place_of_no_operation_s_size_is_refused_with_the_remedy() -> None:
    end = YEAR + timedelta(hours=1)
    country = AreaPlan(lat=41, lon=-72, radius_m=2e6, starts_at=YEAR, ends_at=end)
    with pytest.raises(InputError, match="smaller radius"):
        areas.happening_keys(country)


def test_a_time_of_no_operation_s_length_is_refused_at_once_with_the_remedy() -> None:
    ages = AreaPlan(lat=41, lon=-72, radius_m=9, starts_at=YEAR, ends_at=YEAR.replace(year=9998))
    with pytest.raises(InputError, match="earlier end"):
        areas.happening_keys(ages)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lat": 91},
        {"lon": 181},
        {"radius_m": 0},
        {"radius_m": float("inf")},
        {"ends_at": YEAR},
        {"starts_at": YEAR.replace(tzinfo=None)},
    ],
)
def test_what_is_no_plan_is_refused_and_not_quoted(wrong: dict[str, object]) -> None:
    fields = {"lat": 41.0, "lon": -72.0, "radius_m": 9.0, "starts_at": YEAR,
              "ends_at": YEAR + LONGEST}  # fmt: skip
    with pytest.raises(ValidationError) as refused:
        AreaPlan.model_validate(fields | wrong)
    assert "-72" not in str(refused.value)
