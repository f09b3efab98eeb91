"""Rows of one record number are one record: gather them, wherever they stand in a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from producers.records import Outcome, Place, Rejection
from producers.sources.mapping import CellError, Row, RowReader


@dataclass(frozen=True, slots=True)
class Placed:
    """A row, and where it stands: "line 12"."""

    where: str
    row: Row = field(repr=False)


def outcomes(
    rows: Iterable[Placed | Rejection], reader: RowReader, name: str, *, held: bool = True
) -> Iterator[Outcome]:
    """Yield one outcome a record number of the table called `name`.

    With `held` every row is held until the end; without, rows of one number must stand together,
    and those that come back later are rejected.
    """
    groups: dict[str, list[Placed]] = {}
    done: set[int] = set()
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
            done.update(map(hash, groups))
            groups.clear()
        if hash(number) in done:
            yield _comes_back(name, placed.where)
            continue
        groups.setdefault(number, []).append(placed)
    yield from (_outcome(each, reader, name) for each in groups.values())


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
