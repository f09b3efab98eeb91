"""Rows of one record number are one record: gather them, wherever they stand in a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from producers.records import Outcome, Place, Rejection
from producers.sources.mapping import ColumnMapping
from producers.sources.rows import CellError, Row, RowReader
from silenthit.errors import RetryError


@dataclass(frozen=True, slots=True)
class Placed:
    """A row, and where it stands: "line 12"."""

    where: str
    row: Row = field(repr=False)


def header_problem(header: Sequence[str], mapping: ColumnMapping) -> tuple[str, str] | None:
    """Return what was expected of a table's header, and the remedy; None when it will do."""
    if not any(header):
        return "a header with column names", "export the table with its header"
    if len(set(header)) < len(header):
        return "column names that differ", "rename the column that stands there twice"
    try:
        columns = mapping.resolved(header)
    except KeyError as error:
        return f"the column {error}", "correct [columns] of the mapping, or export the column"
    if "record_number" not in columns:
        return "a column for record_number", "name it in [columns] of the mapping"
    return None


def outcomes(
    rows: Iterable[Placed | Rejection], reader: RowReader, name: str, *, held: bool = True
) -> Iterator[Outcome]:
    """Yield one outcome a record number of the table called `name`.

    With `held` every row is held until the end; without, rows of one number must stand together,
    and those that come back later are rejected.
    """
    with closing(_Done()) as done:
        groups: dict[str, list[Placed]] = {}
        for placed in rows:
            if isinstance(placed, Rejection):
                yield placed
                continue
            try:
                number = reader.number(placed.row)
            except CellError as error:
                yield _rejection(name, placed.where, error)
                continue
            if not held and number not in groups:
                yield from (_outcome(each, reader, name) for each in groups.values())
                done.add(groups)
                groups.clear()
                if number in done:
                    yield _comes_back(name, placed.where)
                    continue
            groups.setdefault(number, []).append(placed)
        yield from (_outcome(each, reader, name) for each in groups.values())


class _Done:
    """The record numbers that were over, as hashes in a nameless file: they may be millions."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("CREATE TABLE done (number INTEGER PRIMARY KEY)")

    def add(self, numbers: Iterable[str]) -> None:
        try:
            rows = ((hash(each),) for each in numbers)
            self._db.executemany("INSERT OR IGNORE INTO done VALUES (?)", rows)
        except sqlite3.Error:
            raise RetryError(
                "expected room for a temporary file, got none; free disk space"
            ) from None

    def __contains__(self, number: str) -> bool:
        query = "SELECT 1 FROM done WHERE number = ?"
        return self._db.execute(query, (hash(number),)).fetchone() is not None

    def close(self) -> None:
        self._db.close()


def _outcome(group: list[Placed], reader: RowReader, name: str) -> Outcome:
    try:
        return reader.record([each.row for each in group], f"{name}, {group[0].where}")
    except CellError as error:
        return _rejection(name, _culprit(group, reader), error)


def _culprit(group: list[Placed], reader: RowReader) -> str:
    """Where the first row stands that fails alone, else the record's first row."""
    for placed in group:
        try:
            reader.record([placed.row])
        except CellError:
            return placed.where
    return group[0].where


def _rejection(name: str, where: str, error: CellError) -> Rejection:
    return Rejection(Place(name, f"{where}, column {error.column!r}"), error.expected, error.remedy)


def _comes_back(name: str, where: str) -> Rejection:
    return Rejection(
        Place(name, where),
        "the rows of one record number next to each other in a file over 64 MiB",
        "sort the export by record number",
    )
