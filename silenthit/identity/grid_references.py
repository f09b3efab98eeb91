"""MGRS grid references, as GPS units and the military write them, into degrees."""

from __future__ import annotations

import re
from math import asin, atan2, cos, cosh, degrees, sin, sinh

_REFERENCE = re.compile(r"(\d{1,2})\s*([C-HJ-NP-X])\s*([A-HJ-NP-Z])([A-HJ-NP-V])\s*([\d\s]*)")
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")  # one set in three zones
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
# Lowest northing of each band in 100 km (NGA.STND.0037, MGRS).
_LOWEST = (11, 20, 28, 37, 46, 55, 64, 73, 82, 91, 0, 8, 17, 26, 35, 44, 53, 62, 70, 79)

_SQUARE_M = 100_000
_SOUTH_M = 10_000_000  # false northing of the southern half
_EQUATOR_M, _FLATTENING, _SCALE = 6_378_137.0, 1 / 298.257223563, 0.9996  # WGS 84, UTM
_N = _FLATTENING / (2 - _FLATTENING)
_RADIUS_M = _EQUATOR_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_BETAS = (
    _N / 2 - 2 * _N**2 / 3 + 37 * _N**3 / 96,
    _N**2 / 48 + _N**3 / 15,
    17 * _N**3 / 480,
)
_DELTAS = (
    2 * _N - 2 * _N**2 / 3 - 2 * _N**3,
    7 * _N**2 / 3 - 8 * _N**3 / 5,
    56 * _N**3 / 15,
)


def mgrs(text: str) -> tuple[float, float] | None:
    """Latitude and longitude of the middle of the square that a reference names, else None.

    "19T CG 30564 91937" and "19TCG3056491937" are one. The polar grid (UPS) is not read.
    """
    found = _REFERENCE.fullmatch(text.strip().upper())
    if not found:
        return None
    zone, band, column, row = int(found[1]), found[2], found[3], found[4]
    digits = "".join(found[5].split())
    columns = _COLUMNS[(zone - 1) % 3]
    if not 1 <= zone <= 60 or column not in columns or len(digits) % 2 or len(digits) > 10:
        return None
    half = len(digits) // 2
    size = _SQUARE_M / 10**half
    east, north = (int(part or 0) * size + size / 2 for part in (digits[:half], digits[half:]))
    squares = (_ROWS.index(row) - (0 if zone % 2 else 5)) % 20
    lowest = _LOWEST[_BANDS.index(band)]
    while squares < lowest:
        squares += 20
    north += squares * _SQUARE_M - (_SOUTH_M if band < "N" else 0)
    return _from_utm(zone, (columns.index(column) + 1) * _SQUARE_M + east, north)


def _from_utm(zone: int, easting: float, northing: float) -> tuple[float, float]:
    """Invert the transverse Mercator projection by Krüger's series, to the third order in n."""
    xi = northing / (_SCALE * _RADIUS_M)
    eta = (easting - 500_000) / (_SCALE * _RADIUS_M)
    turned = xi - sum(b * sin(2 * j * xi) * cosh(2 * j * eta) for j, b in enumerate(_BETAS, 1))
    across = eta - sum(b * cos(2 * j * xi) * sinh(2 * j * eta) for j, b in enumerate(_BETAS, 1))
    conformal = asin(sin(turned) / cosh(across))
    lat = conformal + sum(d * sin(2 * j * conformal) for j, d in enumerate(_DELTAS, 1))
    lon = atan2(sinh(across), cos(turned))
    return degrees(lat), degrees(lon) + 6 * zone - 183
