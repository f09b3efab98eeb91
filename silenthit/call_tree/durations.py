"""Durations as people write them, "15m" or "1d", in protocols and settings."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS = {"m": 1, "h": 60, "d": 1440, "w": 10080}


def parse_duration(value: Any) -> timedelta:
    """Read "90m", "8h", "1d" or "1w". Raises ValueError for anything else."""
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"(\d{1,5})\s*([mhdw])", str(value).strip())
    if found is None or found[1] == "0":
        raise ValueError('expected a duration such as "15m", "8h" or "1d"')
    return timedelta(minutes=int(found[1]) * _UNITS[found[2]])


def _duration(value: Any) -> Any:
    """Leave ISO 8601, which models are kept in, to pydantic."""
    return value if str(value).startswith("P") else parse_duration(value)


Duration = Annotated[timedelta, BeforeValidator(_duration)]
