"""Watch list files: TOML with [[watch]], or a table (CSV, Excel) with one subject a row.

Rows of a table with the same text in the column `watch` are one watch of several subjects. A cell
that may hold several things is split at ";".
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from typing import Any

from consumers.areas import WatchedArea, read_area
from consumers.times import moment
from consumers.watches import Watch
from schemas.vocabulary import IdentifierKind
from silenthit.errors import InputError
from silenthit.subject_options import SUBJECT_FIELDS, read_subject

_OURS = {"subjects", "ends_at", "reviewed_at", "follow", "association"}  # not for somebody to write
WATCH_FIELDS = tuple(name for name in Watch.model_fields if name not in _OURS)
_TABLE_WATCH = tuple(name for name in WATCH_FIELDS if name != "area")  # a table has no room for it
_TABLE_SUBJECT = tuple(name for name in SUBJECT_FIELDS if name != "identifiers")
_SEVERAL = {"kinds", "deliver_to", "aliases", "street_names", "birth_dates", *IdentifierKind}
_GROUP = "watch"
_ALSO = {
    "kind": "kinds",
    "alias": "aliases",
    "street_name": "street_names",
    "birth_date": "birth_dates",
    "date_of_birth": "birth_dates",
    "dob": "birth_dates",
}
_YES, _NO = {"yes", "true", "1", "y"}, {"no", "false", "0", "n", ""}


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """One watch as a file has it."""

    path: Path
    rows: tuple[int, ...]  # of a table; the place in the list of a TOML file
    content: Mapping[str, Any] = field(repr=False)  # like one [[watch]] table

    @property
    def place(self) -> str:
        """Where it stands, for a report."""
        word = "watch" if self.path.suffix.lower() == ".toml" else "row"
        return f"{self.path}, {word} {', '.join(map(str, self.rows))}"


def read_watches(path: Path) -> list[Written]:
    """Read a file by its ending: .csv, .xlsx, anything else as TOML.

    Raises InputError naming the file and what is not as expected, never a cell's content.
    """
    if path.suffix.lower() == ".csv":
        return _grouped(path, _csv_rows(path))
    if path.suffix.lower() == ".xlsx":
        return _grouped(path, _excel_rows(path))
    found = read_watch_file(path)
    return [
        Written(path=path, rows=(n,), content=content) for n, content in enumerate(found, start=1)
    ]


def read_watch_file(path: Path) -> list[dict[str, Any]]:
    """Read a watch list in TOML ([[watch]] with [[watch.subject]]). Raises InputError."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError:
        raise _unreadable(path) from None
    except ValueError as error:
        at = re.search(r"\(at [^)]*\)", str(error))
        raise InputError(
            f"expected TOML in {path}, got other text {at.group() if at else ''}; see the example "
            "in `silenthit watch import --help`"
        ) from None
    watches = content.get("watch")
    if not isinstance(watches, list) or content.keys() != {"watch"}:
        raise InputError(f"expected only [[watch]] tables in {path}; see `watch import --help`")
    return watches


def watch_fields(written: Mapping[str, Any]) -> dict[str, Any]:
    """Turn one [[watch]] table into the fields of a watch. Raises InputError for unknown keys."""
    unknown = sorted(written.keys() - {*WATCH_FIELDS, "subject"})
    if unknown:
        raise InputError(
            f"expected the fields of a watch, got {', '.join(unknown)} as well; the fields are "
            f"{', '.join(WATCH_FIELDS)} and [[watch.subject]]"
        )
    fields = {name: value for name, value in written.items() if name != "subject"}
    if "expires_at" in fields:
        fields["expires_at"] = moment(fields["expires_at"])
    if "area" in fields:
        fields["area"] = _area(fields["area"])
    return {**fields, "subjects": tuple(map(read_subject, written.get("subject", ())))}


def _area(written: Any) -> WatchedArea:
    if not isinstance(written, Mapping):
        raise InputError("expected a table [watch.area], got something else; see `watch import`")
    return read_area(written)


def _csv_rows(path: Path) -> Iterator[Sequence[Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, strict=True)
    except OSError:
        raise _unreadable(path) from None
    except (csv.Error, UnicodeDecodeError):
        raise InputError(f"expected CSV in UTF-8 in {path}, got other text; save it anew") from None


def _excel_rows(path: Path) -> Iterator[Sequence[Any]]:
    try:
        from openpyxl import load_workbook  # noqa: PLC0415 only for Excel

        book = load_workbook(path, read_only=True, data_only=True)
    except OSError:
        raise _unreadable(path) from None
    except (ValueError, KeyError, TypeError, SyntaxError):
        raise _no_excel(path) from None
    except Exception as error:
        if type(error).__name__ in {"InvalidFileException", "BadZipFile"}:
            raise _no_excel(path) from None
        raise
    try:
        yield from book.worksheets[0].iter_rows(values_only=True)
    finally:
        book.close()


def _unreadable(path: Path) -> InputError:
    return InputError(f"expected a watch list in {path}, got no readable file; check its name")


def _no_excel(path: Path) -> InputError:
    return InputError(f"expected an Excel workbook in {path}, got another file; save it as .xlsx")


def _grouped(path: Path, rows: Iterable[Sequence[Any]]) -> list[Written]:
    """Put the rows of a table together into watches, in the order of their first rows."""
    lines = iter(rows)
    columns = _columns(path, next(lines, ()))
    watches: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
    for number, cells in enumerate(lines, start=2):
        texts = [_text(cell) for cell in cells]
        if not any(texts):
            continue
        row = {name: text for name, text in zip(columns, texts, strict=False) if text}
        group = row.pop(_GROUP, "")
        own = (group, "") if group else ("", str(number))
        watches.setdefault(own, []).append((number, row))
    return [_one_watch(path, found) for found in watches.values()]


def _columns(path: Path, header: Sequence[Any]) -> list[str]:
    written = ["_".join(_text(cell).lower().split()) for cell in header]
    columns = [_ALSO.get(name, name) for name in written]
    known = {_GROUP, *_TABLE_WATCH, *_TABLE_SUBJECT}
    unknown = [name or "an empty one" for name in columns if name not in known]
    if unknown or not columns:
        raise InputError(
            f"expected the columns of a watch list in {path}, got {', '.join(unknown) or 'none'}; "
            f"rename or delete them: there are {', '.join(sorted(known))}"
        )
    return columns


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # Excel makes numbers of phones
    return str(cell).strip()


def _one_watch(path: Path, found: Sequence[tuple[int, dict[str, Any]]]) -> Written:
    """Make a [[watch]] table of rows; what is of the watch comes from the first that has it."""
    content: dict[str, Any] = {}
    for _, row in reversed(found):
        content |= {name: _value(name, row[name]) for name in _TABLE_WATCH if name in row}
    content["subject"] = [
        {name: _value(name, row[name]) for name in _TABLE_SUBJECT if name in row}
        for _, row in found
    ]
    return Written(path=path, rows=tuple(number for number, _ in found), content=content)


def _value(name: str, text: str) -> Any:
    if name in _SEVERAL:
        return [each.strip() for each in text.split(";") if each.strip()]
    if name == "minor" and text.lower() in _YES | _NO:
        return text.lower() in _YES
    return text
