"""CSV with a mapping: one row a subject's involvement, rows of one record number one record."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import TextIO

from producers.records import Outcome, Place, Rejection
from producers.sources.mapping import CellError, ColumnMapping, Row, RowReader

MAX_HELD_BYTES = 64 * 2**20
MAX_CELL = 2**20
_DELIMITERS = ",;\t|"
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(slots=True)
class _Group:
    """Rows of one record number, and the line on which each ended."""

    rows: list[Row] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read(path: Path, mapping: ColumnMapping, timezone: tzinfo) -> Iterator[Outcome]:
    """Yield an outcome for each record number of a file in UTF-8 (or UTF-16 with its mark).

    In files over 64 MiB the rows of one record number must stand together.
    """
    with path.open("rb") as start:
        encoding = _ENCODINGS.get(start.read(2), "utf-8-sig")
    held = path.stat().st_size <= MAX_HELD_BYTES
    with path.open(encoding=encoding, newline="") as file:
        try:
            yield from read_table(file, path.name, mapping, timezone, held=held)
        except UnicodeError:
            yield Rejection(
                Place(path.name),
                "text in UTF-8 (or UTF-16 with a byte order mark)",
                "export as UTF-8, or convert: iconv -f WINDOWS-1252 -t UTF-8",
            )


def read_table(
    file: TextIO, name: str, mapping: ColumnMapping, timezone: tzinfo, *, held: bool = True
) -> Iterator[Outcome]:
    """Yield an outcome for each record number of an open table called `name`."""
    delimiter = _delimiter(file)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    previous = csv.field_size_limit(MAX_CELL)
    try:
        header = [each.strip() for each in next(reader, [])]
        problem = _header_problem(header, mapping)
        if problem:
            yield Rejection(Place(name, "line 1"), *problem)
            return
        rows = RowReader(mapping, mapping.resolved(header), timezone)
        yield from _outcomes(reader, header, rows, name, held=held)
    except csv.Error:
        yield Rejection(
            Place(name, f"line {reader.line_num}"),
            "whole CSV rows with every quote closed and cells of at most 1 MiB",
            "export the file again",
        )
    finally:
        csv.field_size_limit(previous)


def _delimiter(file: TextIO) -> str:
    """The separator that the header has most of."""
    first = file.readline(MAX_CELL)
    file.seek(0)
    return max(_DELIMITERS, key=first.count)


def _header_problem(header: list[str], mapping: ColumnMapping) -> tuple[str, str] | None:
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


def _outcomes(
    reader: Iterator[list[str]], header: list[str], rows: RowReader, name: str, *, held: bool
) -> Iterator[Outcome]:
    groups: dict[str, _Group] = {}
    done: set[int] = set()
    for cells in reader:
        line: int = reader.line_num  # type: ignore[attr-defined]
        if not any(map(str.strip, cells)):
            continue
        if len(cells) != len(header):
            yield Rejection(
                Place(name, f"line {line}"),
                f"{len(header)} cells as in the header, got {len(cells)}",
                "quote cells that hold the separator",
            )
            continue
        row = dict(zip(header, cells, strict=True))
        try:
            number = rows.number(row)
        except CellError as error:
            yield _rejection(name, line, error)
            continue
        if not held and number not in groups:
            yield from (_record(each, rows, name) for each in groups.values())
            done.update(map(hash, groups))
            groups.clear()
        if hash(number) in done:
            yield Rejection(
                Place(name, f"line {line}"),
                "the rows of one record number next to each other in a file over 64 MiB",
                "sort the export by record number",
            )
            continue
        group = groups.setdefault(number, _Group())
        group.rows.append(row)
        group.lines.append(line)
    yield from (_record(each, rows, name) for each in groups.values())


def _record(group: _Group, rows: RowReader, name: str) -> Outcome:
    try:
        return rows.record(group.rows, f"{name}, line {group.lines[0]}")
    except CellError as error:
        return _rejection(name, _culprit(group, rows), error)


def _culprit(group: _Group, rows: RowReader) -> int:
    """The line of the first row that fails alone, else the record's first line."""
    for row, line in zip(group.rows, group.lines, strict=True):
        try:
            rows.record([row])
        except CellError:
            return line
    return group.lines[0]


def _rejection(name: str, line: int, error: CellError) -> Rejection:
    return Rejection(
        Place(name, f"line {line}, column {error.column!r}"), error.expected, error.remedy
    )
