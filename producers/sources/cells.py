"""What a database or a workbook holds in a cell, as the text that a mapping reads."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time

from producers.sources.mapping import Formats

_MOST_DIGITS = 15  # a spreadsheet's numbers are exact up to here


class WrongTypeError(ValueError):
    """A value that is no text, number or date of its own: what was expected, and the remedy."""

    def __init__(self, expected: str, remedy: str) -> None:
        super().__init__(f"expected {expected}; {remedy}")
        self.expected, self.remedy = expected, remedy


def cell_text(value: object, formats: Formats, *, day: bool = False) -> str:
    """Return a value as text, dates in the form that the mapping expects.

    `day` says that the column holds days, as birth dates are, whatever time stands with them.
    Raises WrongTypeError.
    """
    if isinstance(value, datetime) and not day:
        return value.strftime(formats.datetime) if formats.datetime else value.isoformat()
    if isinstance(value, date):
        pattern = formats.date if day else formats.datetime or formats.date
        value = value.date() if isinstance(value, datetime) else value
        return value.strftime(pattern) if pattern else value.isoformat()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, (bytes, memoryview)):
        raise WrongTypeError("text, a number or a date", "leave binary columns out")
    return "" if value is None else str(value)


def padded(text: str, number_format: str) -> str:
    """Give a number the leading zeros that a workbook shows, as in the format 000-00-0000."""
    zeros = number_format.count("0")
    plain = set(number_format) <= set("0-\\ ()") and zeros > 1
    return text.zfill(zeros) if plain and text.isdigit() else text


def day_columns(columns: dict[str, str]) -> Collection[str]:
    """The columns, of field → column, that hold days rather than moments."""
    return {columns[field] for field in ("birth_date",) if field in columns}


def _number(value: float) -> str:
    if not value.is_integer():
        return str(value)
    text = str(int(value))
    if len(text.lstrip("-")) > _MOST_DIGITS:
        raise WrongTypeError(
            f"a number of at most {_MOST_DIGITS} digits", "format the column as text and export it"
        )
    return text
