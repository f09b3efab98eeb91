"""When the month is over in which a touch may be kept last."""

from __future__ import annotations

import re
from datetime import MAXYEAR, UTC, datetime
from functools import lru_cache

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


@lru_cache(maxsize=4_096)
def expires_at(month: str) -> int | None:
    """Return the end of a month, YYYY-MM, in ms; None when it is no month."""
    if not _MONTH.fullmatch(month) or month.startswith("0000"):
        return None
    year, number = map(int, month.split("-"))
    year, number = (year + 1, 1) if number == 12 else (year, number + 1)  # noqa: PLR2004 December
    if year > MAXYEAR:
        return None
    return int(datetime(year, number, 1, tzinfo=UTC).timestamp() * 1000)
