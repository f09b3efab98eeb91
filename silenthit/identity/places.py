"""Places: coordinates out of text, a key for what has none, and the cells that both sides share.

    >>> where = coordinates("42.3600N 71.0575W")
    >>> where and cell(*where, level=14) in cover(*where, radius_m=500, finest=14)
    True

No address is looked up, as that would tell somebody where the agency is. What has no coordinates
has no cell, only a key of its own (`place_key`): it meets the same address, and no neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from silenthit.identity.addresses import address
from silenthit.identity.cells import ancestors, cell, cover, level_of
from silenthit.identity.grid_references import mgrs

__all__ = ["ancestors", "cell", "coordinates", "cover", "level_of", "located", "place_key"]

_LONGEST = 80  # signs; a longer text is no pair of coordinates
_DECIMAL = re.compile(
    r"(?:GEO:|@|LAT[A-Z]*[:=\s]*)?([+-]?\d{1,2}(?:\.\d+)?)\s*°?\s*(?:[,;/\s]|LON[A-Z]*[:=])+"
    r"([+-]?\d{1,3}(?:\.\d+)?)\s*°?"
)
_NUMBER = r"(\d{1,3}(?:\.\d+)?)"
_ANGLE = rf"{_NUMBER}(?:[°D:\s]+{_NUMBER}(?:['′’M:\s]+{_NUMBER}(?:\"|″|”|'')?)?['′’M]?)?[°D]?"
_SIGNED = (
    re.compile(rf"{_ANGLE}\s*([NS])[\s,;/]*{_ANGLE}\s*([EW])"),
    re.compile(rf"([NS])\s*{_ANGLE}[\s,;/]*([EW])\s*{_ANGLE}"),
)


def coordinates(text: str) -> tuple[float, float] | None:
    r"""Latitude and longitude in degrees (WGS 84); None if the text says none.

    Equal, to the precision written, for "42.36, -71.0575", "geo:42.36,-71.0575", "42.36N 71.0575W",
    "N 42 21.6 W 71 3.45", "42°21'36\"N 71°03'27\"W" and MGRS "19T CG 30563 91798", which is its
    square's middle. Without N, S, E or W the latitude stands first. "0, 0" is a blank filled in.
    Words may stand in front of coordinates in brackets: "Seaview Motel (42.36, -71.0575)".
    """
    plain = text.strip().upper()
    if plain.endswith(")"):
        plain = plain[:-1].rpartition("(")[2].strip()
    if len(plain) > _LONGEST:
        return None
    if found := _DECIMAL.fullmatch(plain):
        return _checked(float(found[1]), float(found[2]))
    if found := _SIGNED[0].fullmatch(plain):
        *up, north, lon_d, lon_m, lon_s, east = found.groups()
        return _angled(up, north, (lon_d, lon_m, lon_s), east)
    if found := _SIGNED[1].fullmatch(plain):
        north, lat_d, lat_m, lat_s, east, *across = found.groups()
        return _angled((lat_d, lat_m, lat_s), north, across, east)
    return mgrs(plain)


def _angled(
    up: Sequence[str | None], north: str | None, across: Sequence[str | None], east: str | None
) -> tuple[float, float] | None:
    lat, lon = _degrees(up), _degrees(across)
    if lat is None or lon is None:
        return None
    return _checked(-lat if north == "S" else lat, -lon if east == "W" else lon)


def _degrees(parts: Sequence[str | None]) -> float | None:
    whole, minutes, seconds = (float(part or 0) for part in parts)
    return whole + minutes / 60 + seconds / 3600 if max(minutes, seconds) < 60 else None


def _checked(lat: float, lon: float) -> tuple[float, float] | None:
    usable = abs(lat) <= 90 and abs(lon) <= 180 and (lat, lon) != (0, 0)
    return (lat, lon) if usable else None


def located(place: str, written: str) -> str:
    """A place with coordinates in brackets behind it, as `coordinates` reads it back.

    "Seaview Motel" and "42 21 36 N 71 3 27 W" are "Seaview Motel (42.36000, -71.05750)". The place
    as it is where `written` says none.
    """
    where = coordinates(written)
    if not where:
        return place
    plain = "{:.5f}, {:.5f}".format(*where)
    return f"{place} ({plain})" if place else plain


def place_key(text: str) -> str:
    """What two records of one place share: coordinates to 4 decimals (11 m), else the address.

    "42.36, -71.0575" and "42.36000N 71.05750W" are "42.3600,-71.0575". "123 North Main St, Boston
    MA" is its normalised address. "" when it is neither.
    """
    if where := coordinates(text):
        lat, lon = (round(each, 4) + 0.0 for each in where)
        return f"{lat:.4f},{lon:.4f}" if (lat, lon) != (0, 0) else ""
    written = address(text)
    return "" if coordinates(written) else written
