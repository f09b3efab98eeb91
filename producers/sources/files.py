"""Which source reads a file, by its suffix. A new kind of file is one module and one entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import tzinfo
from pathlib import Path

from producers.records import Outcome, Place, Rejection
from producers.sources import csv, eml, lexs, nibrs
from producers.sources.mapping import ColumnMapping

Reader = Callable[[Path, ColumnMapping, tzinfo], Iterator[Outcome]]


def _xml(path: Path, _: ColumnMapping, timezone: tzinfo) -> Iterator[Outcome]:
    """LEXS and N-DEx, or NIBRS: the document's first words tell."""
    if nibrs.is_nibrs(path):
        yield from nibrs.read(path, timezone)
    else:
        yield from lexs.read(path, timezone)


def _workbook(path: Path, mapping: ColumnMapping, timezone: tzinfo) -> Iterator[Outcome]:
    from producers.sources import excel  # noqa: PLC0415 only who has workbooks needs it

    yield from excel.read(path, mapping, timezone)


def _old_workbook(path: Path, _: ColumnMapping, __: tzinfo) -> Iterator[Outcome]:
    yield Rejection(
        Place(path.name), "a workbook of Excel 2007 or later (.xlsx)", "save it as .xlsx, or as CSV"
    )


READERS: dict[str, Reader] = {
    ".csv": csv.read,
    ".tsv": csv.read,
    ".txt": csv.read,
    ".xml": _xml,
    ".eml": eml.read,
    ".xlsx": _workbook,
    ".xlsm": _workbook,
    ".xls": _old_workbook,
}


def read(path: Path, mapping: ColumnMapping, timezone: tzinfo) -> Iterator[Outcome]:
    """Yield the outcomes of one file; one that can't be read at all is one Rejection."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        yield Rejection(
            Place(path.name), f"a file of the kinds {', '.join(READERS)}", "rename or convert it"
        )
        return
    try:
        yield from reader(path, mapping, timezone)
    except OSError as error:
        yield Rejection(
            Place(path.name),
            "a file that can be read",
            f"check it: {error.strerror or 'unreadable'}",
        )
