"""Square quadtree cells of the globe: of a point, of its surroundings, and a circle's cover.

    >>> home = cell(42.36, -71.0575, level=14)
    >>> home in cover(42.36, -71.0575, radius_m=500, finest=14)
    True

The grid is of equal degrees: at level L a cell is a square of 360/2^L degrees, rows counted from
the south pole and columns from the antimeridian; level 0 is one cell that holds the whole globe,
and of no cell does the part beyond the pole count. A cell is an integer: a leading 1, then two bits
a level, row before column. So an ancestor is what is left when pairs of bits are shifted out, and
cells of different levels never share a number. At level 14 a cell is 2.4 km high; at 20, 38 m.
"""

from __future__ import annotations

from math import asin, atan2, cos, floor, isfinite, pi, radians, sin, sqrt

from silenthit.errors import InputError

FINEST = 30  # levels; 4 cm, beyond any record's accuracy
MOST_CELLS = 4096  # met at one level while a cover is made
EARTH_M = 6_371_008.8  # mean radius (IUGG); distances are on this sphere
ELLIPSOID = 1.006  # the true earth's distances differ from the sphere's by up to 0.56 %
_ROUNDING_M = 0.001  # cells are cut in degrees, circles in radians


def cell(lat: float, lon: float, level: int) -> int:
    """The cell that holds a point; degrees, level 0 to 30. Longitudes wrap, the pole is in a cell.

    Raises InputError for a latitude beyond 90, for what is no number, and for another level.
    """
    _check(lat, lon, level)
    side = 360 / 2**level
    row = min(floor((lat + 90) / side), max(0, 2**level // 2 - 1))
    column = floor(((lon + 180) % 360) / side) % 2**level
    return _cell(level, row, column)


def level_of(of: int) -> int:
    """The level of a cell."""
    return (of.bit_length() - 1) // 2


def ancestors(of: int) -> tuple[int, ...]:
    """The cells that hold a cell, from itself up to the whole globe."""
    return tuple(of >> 2 * up for up in range(level_of(of) + 1))


def cover(
    lat: float, lon: float, radius_m: float, *, finest: int, coarsest: int = 0
) -> tuple[int, ...]:
    """Cells that together hold every point within `radius_m` of a point, none inside another.

    Four siblings are written as their parent, down to `coarsest`; so of two covers of the same
    place and levels both are the same. Every point of the circle is in a cell of the cover or is
    covered by one of the `ancestors` of its cell at level `finest`. Over poles and antimeridian it
    goes on. It reaches beyond the circle by less than a cell's diagonal, and 0.6 % of the radius.

    Raises InputError for what is no place, and when more than MOST_CELLS would be needed.
    """
    _check(lat, lon, finest)
    if not 0 <= coarsest <= finest or not (isfinite(radius_m) and radius_m >= 0):
        raise InputError("expected 0 <= coarsest <= finest and a radius in metres; correct them")
    at, radius = (radians(lat), radians(lon)), (radius_m * ELLIPSOID + _ROUNDING_M) / EARTH_M
    kept: set[int] = set()
    met = [1]
    for level in range(finest):
        whole = {each for each in met if level >= coarsest and _inside(*at, radius, each)}
        kept |= whole
        below = (child for each in met if each not in whole for child in _children(each))
        met = [each for each in below if _distance(*at, each) <= radius]
        if len(met) > MOST_CELLS:
            raise InputError(
                f"expected a place of at most {MOST_CELLS} cells, got more; take a smaller radius "
                "or a coarser finest level"
            )
    kept.update(met)
    return tuple(sorted(_merged(kept, coarsest)))


def great_circle_m(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """How far two points are apart, in metres on the sphere; degrees."""
    apart = radians(other_lon - lon)
    return EARTH_M * _haversine(radians(lat), radians(other_lat), apart)


def _merged(cells: set[int], coarsest: int) -> set[int]:
    """Write siblings as their parent, from the finest up."""
    for level in range(max(map(level_of, cells)), coarsest, -1):
        for parent in {each >> 2 for each in cells if level_of(each) == level}:
            if cells.issuperset(_children(parent)):
                cells = cells.difference(_children(parent)) | {parent}
    return cells


def _children(of: int) -> tuple[int, ...]:
    """The cells that a cell is cut into, without those beyond the pole: level 0 has two."""
    return tuple(of << 2 | corner for corner in range(2 if of == 1 else 4))


def _check(lat: float, lon: float, level: int) -> None:
    if not (isfinite(lat) and isfinite(lon) and abs(lat) <= 90):
        raise InputError("expected a latitude from -90 to 90 and a longitude, in degrees")
    if not 0 <= level <= FINEST:
        raise InputError(f"expected a level from 0 to {FINEST}, got {level}")


def _cell(level: int, row: int, column: int) -> int:
    number = 1
    for bit in range(level - 1, -1, -1):
        number = number << 2 | (row >> bit & 1) << 1 | column >> bit & 1
    return number


def _row_column(of: int) -> tuple[int, int]:
    row = column = 0
    for shift in range(2 * level_of(of) - 2, -1, -2):
        row, column = row << 1 | of >> shift + 1 & 1, column << 1 | of >> shift & 1
    return row, column


def _bounds(of: int) -> tuple[float, float, float, float]:
    """South, north, west, east of a cell in radians."""
    side = 2 * pi / 2 ** level_of(of)
    row, column = _row_column(of)
    south, west = row * side - pi / 2, column * side - pi
    return south, min(south + side, pi / 2), west, west + side


def _distance(lat: float, lon: float, of: int) -> float:
    """From a point to the nearest one of a cell, radians on the sphere; 0 inside."""
    south, north, west, east = _bounds(of)
    if (lon - west) % (2 * pi) <= east - west:
        return max(south - lat, lat - north, 0.0)
    found = []
    for edge in (west, east):
        # Nearest on a whole meridian: where a great circle through the point meets it square.
        foot = atan2(sin(lat), cos(lat) * cos(edge - lon))
        # Behind a pole the nearest end of the edge may be either.
        ends = (south, north) if abs(foot) > pi / 2 else (min(max(foot, south), north),)
        found += [_haversine(lat, end, edge - lon) for end in ends]
    return min(found)


def _haversine(lat: float, other: float, apart: float) -> float:
    chord = sin((other - lat) / 2) ** 2 + cos(lat) * cos(other) * sin(apart / 2) ** 2
    return 2 * asin(sqrt(min(1.0, chord)))


def _inside(lat: float, lon: float, radius: float, of: int) -> bool:
    """Whether all of a cell is in the circle: its farthest point is nearest to the antipode."""
    return pi - _distance(-lat, lon + pi, of) <= radius
