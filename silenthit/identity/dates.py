"""Birth dates in the ways that records write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache

_MONTHS = {name: n for n, name in enumerate(
    "jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1
)}  # fmt: skip
_WORDS = re.compile(r"(?i)^(\d{1,2})[\s.-]*([a-z]{3})[a-z]*[\s.,-]*(\d{4}|\d{2})$")
_US_WORDS = re.compile(r"(?i)^([a-z]{3})[a-z]*[\s.]*(\d{1,2})(?:st|nd|rd|th)?[\s,]+(\d{4}|\d{2})$")
_AROUND = re.compile(r"(?i)^\s*(d\.?o\.?b\.?|born)\s*[:\-]?\s*|T\d\d:.*$")
_NUMBER, _LETTER = re.compile(r"\d+"), re.compile(r"[a-zA-Z]")
OLDEST = 1890
_LONGEST = 80  # signs of a date; a longer text is none


def birth_date(text: str) -> str:
    """A birth date in ISO 8601, reduced to "YYYY-MM" or "YYYY" where no more is said.

    Equal for "1980-01-02", "01/02/1980", "1/2/80", "010280", "01021980", "19800102", "02JAN1980",
    "Jan 2, 1980": month first, as US records write it, unless only day first is a date. Two-digit
    years are the latest that have passed. Impossible dates and years before 1890 give "".
    """
    return _read(text) if len(text) <= _LONGEST else ""


@lru_cache(maxsize=8192)
def _read(text: str) -> str:
    text = _AROUND.sub("", text).strip()
    if not text.isascii():
        return ""
    for pattern, order in ((_WORDS, "dmy"), (_US_WORDS, "mdy")):
        if found := pattern.match(text):
            return _date(dict(zip(order, found.groups(), strict=True)))
    groups = _NUMBER.findall(text)
    if _LETTER.search(text) or not 1 <= len(groups) <= 3:
        return ""
    return _numeric(groups)


def _numeric(groups: list[str]) -> str:
    first = groups[0]
    if len(groups) == 1:
        if len(first) == 8:
            return _ymd(first) or _mdy(first[:2], first[2:4], first[4:])
        return _mdy(first[:2], first[2:4], first[4:]) if len(first) == 6 else _year(first)
    if len(first) == 4:
        return _date(dict(zip("ymd", groups, strict=False)))
    if len(groups) == 2:
        return _date({"m": first, "y": groups[1]}) if len(groups[1]) == 4 else ""
    return _mdy(*groups)


def _mdy(month: str, day: str, year: str) -> str:
    straight = _date({"y": year, "m": month, "d": day})
    return straight or _date({"y": year, "m": day, "d": month})


def _ymd(digits: str) -> str:
    return _date({"y": digits[:4], "m": digits[4:6], "d": digits[6:]})


def _year(digits: str) -> str:
    return _date({"y": digits}) if len(digits) == 4 else ""


def _date(parts: dict[str, str]) -> str:
    """Make ISO text of year, month and day, any of the last two absent; "" if there is no such."""
    if any(len(part) > 4 for part in parts.values()):
        return ""
    year, today = int(parts["y"]), datetime.now(UTC).date()
    if len(parts["y"]) == 2:
        year += 2000 if 2000 + year <= today.year else 1900
    month_text = parts.get("m", "1")
    month = _MONTHS.get(month_text.lower(), 0) if month_text.isalpha() else int(month_text)
    try:
        when = date(year, month, int(parts.get("d", "1")))
    except ValueError:
        return ""
    if year < OLDEST or when > today or len(parts["y"]) not in (2, 4):
        return ""
    return when.isoformat()[: 4 + 3 * (len(parts) - 1)]


def birth_year_at(age: str, on: date) -> str:
    """The likelier birth year of somebody of an age (whole years, text) on a day: "1993".

    Who is 30 on a day in March was born this year minus 30 with a chance of two months in twelve.
    """
    if not re.fullmatch(r"\d{1,3}", age) or int(age) > 120:
        return ""
    return str(on.year - int(age) - (1 if on.month <= 6 else 0))
