"""CSV with a mapping: one row a subject's involvement, rows of one record number one record."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import TextIO

from producers.records import Outcome, Place, Rejection
from producers.sources.grouping import Placed, header_problem, outcomes
from producers.sources.mapping import ColumnMapping
from producers.sources.rows import RowReader

MAX_HELD_BYTES = 64 * 2**20
MAX_CELL = 2**20
_DELIMITERS = ",;\t|"
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read(path: Path, mapping: ColumnMapping, timezone: tzinfo) -> Iterator[Outcome]:
    """Yield an outcome for each record number of a file in UTF-8 (or UTF-16 with its mark).

    In files over 64 MiB the rows of one record number must stand together.
    """
    encoding = encoding_of(path)
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


def encoding_of(path: Path) -> str:
    """UTF-16 where its mark says so, else UTF-8."""
    with path.open("rb") as start:
        return _ENCODINGS.get(start.read(2), "utf-8-sig")


def read_table(
    file: TextIO, name: str, mapping: ColumnMapping, timezone: tzinfo, *, held: bool = True
) -> Iterator[Outcome]:
    """Yield an outcome for each record number of an open table called `name`."""
    delimiter = delimiter_of(file)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    previous = csv.field_size_limit(MAX_CELL)
    try:
        header = [each.strip() for each in next(reader, [])]
        problem = header_problem(header, mapping)
        if problem:
            yield Rejection(Place(name, "line 1"), *problem)
            return
        rows = RowReader(mapping, mapping.resolved(header), timezone)
        yield from outcomes(_rows(reader, header, name), rows, name, held=held)
    except csv.Error:
        yield Rejection(
            Place(name, f"line {reader.line_num}"),
            "whole CSV rows with every quote closed and cells of at most 1 MiB",
            "export the file again",
        )
    finally:
        csv.field_size_limit(previous)


def delimiter_of(file: TextIO) -> str:
    """The separator that the header has most of."""
    first = file.readline(MAX_CELL)
    file.seek(0)
    return max(_DELIMITERS, key=first.count)


def _rows(
    reader: Iterator[list[str]], header: list[str], name: str
) -> Iterator[Placed | Rejection]:
    for cells in reader:
        where = f"line {reader.line_num}"  # type: ignore[attr-defined]
        if not any(map(str.strip, cells)):
            continue
        if len(cells) == len(header):
            yield Placed(where, dict(zip(header, cells, strict=True)))
        else:
            yield Rejection(
                Place(name, where),
                f"{len(header)} cells as in the header, got {len(cells)}",
                "quote cells that hold the separator",
            )
