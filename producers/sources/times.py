"""Times and dates as records systems write them: checked, and aware of their time zone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, tzinfo

ADULT = 18
_OFFSET = re.compile(r"(Z|[+-]\d\d:\d\d)$")


class BadTimeError(ValueError):
    """Not a time or a date of the form that the text of this error gives."""


def aware(text: str, timezone: tzinfo, pattern: str = "") -> datetime:
    """Read a moment; `timezone` holds where the text names none. Raises BadTimeError.

    `pattern` is a strptime format; without one the form is ISO 8601 (xs:dateTime or xs:date).
    """
    try:
        moment = (
            datetime.strptime(text, pattern)  # noqa: DTZ007 made aware below
            if pattern
            else datetime.fromisoformat(text)
        )
    except ValueError:
        form = f"a possible time of the form {pattern}" if pattern else "a possible ISO 8601 time"
        raise BadTimeError(form) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone)


def birth_date(text: str, pattern: str = "") -> str:
    """Return ISO 8601, reduced to year and month or year where that is all there is.

    Raises BadTimeError for what is no date of the calendar, or lies before 1850 or in the future.
    """
    form = f"a possible date of the form {pattern or 'YYYY-MM-DD'}"
    try:
        if pattern:
            return _plausible(datetime.strptime(text, pattern).date()).isoformat()  # noqa: DTZ007 a date
        text = _OFFSET.sub("", text)
        _plausible(date.fromisoformat((text + "-01-01")[:10] if len(text) < 10 else text))  # noqa: PLR2004 YYYY-MM-DD
    except ValueError:
        raise BadTimeError(form) from None
    return text


def under_age(birth_dates: Iterable[str]) -> bool:
    """Whether any of these ISO 8601 dates, possibly reduced, makes a person less than 18 today."""
    today = date.today()  # noqa: DTZ011 a birthday has no time zone
    turns = f"{today.year - ADULT:04}-{today.month:02}-{today.day:02}"
    return any(born and born > turns[: len(born)] for born in birth_dates)


def _plausible(day: date) -> date:
    if not date(1850, 1, 1) <= day <= date.today():  # noqa: DTZ011 a birthday has no time zone
        raise ValueError
    return day
