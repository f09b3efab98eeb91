"""Coordinates are read in every spelling; covers miss nothing, at no border, pole or meridian."""

from __future__ import annotations

from math import asin, atan2, cos, degrees, radians, sin

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from silenthit.errors import InputError
from silenthit.identity.cells import EARTH_M, MOST_CELLS
from silenthit.identity.places import ancestors, cell, coordinates, cover, level_of, place_key

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)
# Where cells meet, and where the globe's own seams are.
BORDERS = st.sampled_from([0.0, 45.0, -45.0, 22.5, 89.99, 90.0, -90.0, -89.999])
SEAMS = st.sampled_from([0.0, 180.0, -180.0, 179.9999, -179.9999, 90.0, -45.0])
POINTS = st.tuples(LATITUDES | BORDERS, LONGITUDES | SEAMS)
TURNS = st.floats(0, 360)
SHARES = st.floats(0, 1) | st.just(1.0)
RADII = st.floats(0, 50_000) | st.sampled_from([0.0, 100.0, 1000.0])


def reached(lat: float, lon: float, turn: float, metres: float) -> tuple[float, float]:
    """Where one arrives who goes so far in a direction, on the sphere."""
    a, far, way = radians(lat), metres / EARTH_M, radians(turn)
    end = asin(max(-1.0, min(1.0, sin(a) * cos(far) + cos(a) * sin(far) * cos(way))))
    across = atan2(sin(way) * sin(far) * cos(a), cos(far) - sin(a) * sin(end))
    return max(-90.0, min(90.0, degrees(end))), lon + degrees(across)


@given(point=POINTS, turn=TURNS, share=SHARES, radius=RADII, coarsest=st.integers(0, 8))
@example(point=(89.99, 0.0), turn=0.0, share=1.0, radius=5000.0, coarsest=0)
@example(point=(0.0, 180.0), turn=90.0, share=1.0, radius=5000.0, coarsest=0)
def test_no_point_of_a_circle_is_missed(
    point: tuple[float, float], turn: float, share: float, radius: float, coarsest: int
) -> None:
    finest = 9
    there = reached(*point, turn, radius * share)
    chosen = set(cover(*point, radius, finest=finest, coarsest=coarsest))
    assert chosen.intersection(ancestors(cell(*there, finest)))
    assert chosen.intersection(ancestors(cell(*point, finest)))
    assert all(coarsest <= level_of(each) <= finest for each in chosen)


@given(point=POINTS, radius=RADII, coarsest=st.integers(0, 8))
def test_a_cover_is_canonical(point: tuple[float, float], radius: float, coarsest: int) -> None:
    chosen = cover(*point, radius, finest=9, coarsest=coarsest)
    assert list(chosen) == sorted(set(chosen))
    assert all(not set(ancestors(each)[1:]) & set(chosen) for each in chosen)
    for parent in {each >> 2 for each in chosen if level_of(each) > max(coarsest, 1)}:
        assert not {parent << 2 | corner for corner in range(4)} <= set(chosen)


@given(lat=st.floats(-60, 60), lon=LONGITUDES, turn=TURNS, radius=st.floats(500, 50_000))
def test_a_cover_reaches_little_beyond_its_circle(
    lat: float, lon: float, turn: float, radius: float
) -> None:
    finest = 12  # 9.8 km high
    diagonal = 1.5 * EARTH_M * radians(360 / 2**finest)
    there = reached(lat, lon, turn, 1.006 * radius + diagonal)
    chosen = set(cover(lat, lon, radius, finest=finest))
    assert not chosen.intersection(ancestors(cell(*there, finest)))


@given(point=POINTS, level=st.integers(0, 30))
def test_a_cell_is_within_its_ancestors(point: tuple[float, float], level: int) -> None:
    own = cell(*point, level)
    assert level_of(own) == level
    assert ancestors(own) == tuple(cell(*point, above) for above in range(level, -1, -1))


@given(lat=LATITUDES, lon=st.integers(-180, 180), level=st.integers(0, 30))
def test_a_longitude_wraps(lat: float, lon: int, level: int) -> None:
    assert cell(lat, lon + 360, level) == cell(lat, lon, level) == cell(lat, lon - 360, level)


def test_the_antimeridian_divides_no_cell_s_neighbours() -> None:
    chosen = cover(0, 180, 5000, finest=14)
    for lon in (179.97, -179.97):
        assert set(chosen).intersection(ancestors(cell(0.001, lon, 14)))


def test_a_cover_of_the_whole_globe_is_one_cell() -> None:
    assert cover(10, 20, 3e7, finest=6) == (1,)


@pytest.mark.parametrize("place", [(91, 0), (float("nan"), 0), (0, float("inf"))])
def test_what_is_no_place_is_refused(place: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="latitude"):
        cell(*place, 3)


def test_too_large_a_cover_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=f"{MOST_CELLS} cells"):
        cover(42, -71, 1_000_000, finest=20)


def _angle(value: float) -> tuple[int, int, float]:
    seconds = round(abs(value) * 3600, 2)
    return int(seconds // 3600), int(seconds // 60 % 60), round(seconds % 60, 2)


@given(lat=st.floats(-89.9, 89.9), lon=st.floats(-179.9, 179.9))
def test_a_point_is_the_same_in_every_usual_spelling(lat: float, lon: float) -> None:
    assume(max(abs(lat), abs(lon)) > 0.01)  # "0, 0" is a blank filled in
    north, east = "NS"[lat < 0], "EW"[lon < 0]
    (up, up_m, up_s), (across, across_m, across_s) = _angle(lat), _angle(lon)
    spellings = [
        f"{lat:.6f}, {lon:.6f}", f"{lat:.6f} {lon:.6f}", f"geo:{lat:.6f},{lon:.6f}",
        f"lat: {lat:.6f} lon: {lon:.6f}", f"Seaview Motel ({lat:.6f}, {lon:.6f})",
        f"{abs(lat):.6f}{north} {abs(lon):.6f}{east}",
        f"{abs(lat):.6f}° {north}, {abs(lon):.6f}° {east}",
        f"{up}°{up_m:02}'{up_s:05.2f}\"{north} {across}°{across_m:02}'{across_s:05.2f}\"{east}",
        f"{up}° {up_m}′ {up_s}″ {north}, {across}° {across_m}′ {across_s}″ {east}",
        f"{north} {up} {up_m + up_s / 60:.4f} {east} {across} {across_m + across_s / 60:.4f}",
    ]  # fmt: skip
    for each in spellings:
        found = coordinates(each)
        assert found == pytest.approx((lat, lon), abs=5e-6), each


@pytest.mark.parametrize(
    ("reference", "lat", "lon"),
    [
        ("19T CG 30563 91798", 42.36, -71.0575),
        ("19TCG3056391798", 42.36, -71.0575),
        ("56H LH 34900 52288", -33.8568, 151.2153),
        ("1N AA 77176 55336", 0.5, -179.9),
    ],
)
def test_grid_references_are_read(reference: str, lat: float, lon: float) -> None:
    assert coordinates(reference) == pytest.approx((lat, lon), abs=1e-5)


@pytest.mark.parametrize(
    "text", ["", "0, 0", "91, 0", "42 21 99 N 71 3 27 W", "61X AA 1 1", "123 Main St", "42"]
)
def test_what_are_no_coordinates_have_none(text: str) -> None:
    assert coordinates(text) is None


def test_a_place_without_coordinates_has_the_key_of_its_address() -> None:
    one = place_key("123 North Main St., Boston, MA 02101")
    assert one == place_key("123 N MAIN STREET; BOSTON MASSACHUSETTS 02101-0001") != ""
    assert place_key("42.36, -71.0575") == place_key("42.36000N 71.05750W") == "42.3600,-71.0575"
