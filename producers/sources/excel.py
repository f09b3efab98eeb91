"""Excel workbooks (.xlsx, .xlsm) with the mapping of a CSV: every sheet that has the columns.

Read row by row by openpyxl: a workbook of a million rows takes no more memory than its texts.
Formulas count as what Excel last computed; macros and links are never followed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import tzinfo
from errno import EINVAL
from itertools import islice
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

from producers.records import Outcome, Place, Rejection
from producers.sources.cells import WrongTypeError, cell_text, day_columns, padded
from producers.sources.grouping import Placed, header_problem, outcomes
from producers.sources.mapping import FIELDS, ColumnMapping, Formats
from producers.sources.rows import Row, RowReader
from producers.sources.safe_xml import UnsafeXmlError, refuse_document_type

MAX_TEXTS = 256 * 2**20  # bytes of the table of texts, which is held
MAX_HELD_BYTES = 256 * 2**20  # of a sheet's XML; over it, rows of a record stand together
MAX_BYTES = 16 * 2**30
_BROKEN = (
    "a whole Excel workbook (.xlsx) without a password",
    "save it again as Excel workbook (.xlsx), or as CSV UTF-8",
)


class WorkbookError(Exception):
    """No workbook that is read: what was expected, and the remedy."""

    def __init__(self, expected: str, remedy: str) -> None:
        super().__init__(f"expected {expected}; {remedy}")
        self.expected, self.remedy = expected, remedy


def read(path: Path, mapping: ColumnMapping, timezone: tzinfo) -> Iterator[Outcome]:
    """Yield an outcome for each record number of each sheet.

    Without `sheet` in the mapping, visible sheets that have none of the mapped columns are passed
    over, as a legend is.
    """
    try:
        sheets = list(_sheets(path, mapping))
    except WorkbookError as error:
        yield Rejection(Place(path.name), error.expected, error.remedy)
        return
    if not sheets:
        wanted = f"a sheet called {mapping.sheet!r}" if mapping.sheet else "a sheet with records"
        yield Rejection(
            Place(path.name),
            f"{wanted} and a header with the columns of the mapping",
            "see what `silenthit agency map` makes of the file",
        )
    for title, held in sheets:
        yield from _sheet(path, title, mapping, timezone, held=held)


def sample(path: Path, count: int, sheet: str = "") -> tuple[list[str], Sequence[Row]]:
    """Return header and first rows of a sheet, by default the first with a header.

    Raises WorkbookError.
    """
    for title in _titles(path):
        if sheet in ("", title):
            rows = _rows(path, title)
            header = _header(rows)
            if any(header):
                taken = [_texts(header, cells, Formats(), ()) for _, cells in islice(rows, count)]
                return header, taken
    raise WorkbookError("a sheet with a header", "export it with column names")


def _sheets(path: Path, mapping: ColumnMapping) -> Iterator[tuple[str, bool]]:
    """Titles of the sheets to read, and whether the rows of each may be held."""
    with _checked(path) as file:
        held = sum(each.file_size for each in _parts(file)) <= MAX_HELD_BYTES
    wanted = set(mapping.columns.values()) or set(FIELDS)
    for title in _titles(path):
        if mapping.sheet == title or (
            not mapping.sheet and wanted & set(_header(_rows(path, title)))
        ):
            yield title, held


def _sheet(
    path: Path, title: str, mapping: ColumnMapping, timezone: tzinfo, *, held: bool
) -> Iterator[Outcome]:
    name = f"{path.name}, sheet {title!r}"
    rows = _rows(path, title)
    try:
        header = _header(rows)
        problem = header_problem(header, mapping)
        if problem:
            yield Rejection(Place(name, "the header"), *problem)
            return
        columns = mapping.resolved(header)
        reader = RowReader(mapping, columns, timezone)
        days = day_columns(columns)
        placed = _placed(rows, header, name, mapping.formats, days)
        yield from outcomes(placed, reader, name, held=held)
    except WorkbookError as error:
        yield Rejection(Place(name), error.expected, error.remedy)


def _placed(
    rows: Iterator[tuple[int, Sequence[Any]]],
    header: list[str],
    name: str,
    formats: Formats,
    days: Collection[str],
) -> Iterator[Placed | Rejection]:
    for number, cells in rows:
        where = f"row {number}"
        if any(cell.value is not None for cell in cells[len(header) :]):
            yield Rejection(
                Place(name, where), "no cell beyond the header's last column", "name that column"
            )
            continue
        try:
            row = _texts(header, cells, formats, days)
        except _CellError as error:
            place = Place(name, f"{where}, column {error.column!r}")
            yield Rejection(place, error.expected, error.remedy)
            continue
        if any(row.values()):
            yield Placed(where, row)


class _CellError(WrongTypeError):
    def __init__(self, column: str, expected: str, remedy: str) -> None:
        super().__init__(expected, remedy)
        self.column = column


def _texts(
    header: list[str], cells: Sequence[Any], formats: Formats, days: Collection[str]
) -> dict[str, str]:
    row = dict.fromkeys(header, "")
    for column, cell in zip(header, cells, strict=False):
        if cell.value is None or not column:
            continue
        if cell.data_type == "e":
            raise _CellError(column, "a value, got an error of Excel", "mend the formula")
        try:
            text = cell_text(cell.value, formats, day=column in days)
        except WrongTypeError as error:
            raise _CellError(column, error.expected, error.remedy) from None
        row[column] = padded(text, cell.number_format) if cell.data_type == "n" else text
    return row


def _header(rows: Iterator[tuple[int, Sequence[Any]]]) -> list[str]:
    """The first row that says anything, without the empty columns at its end."""
    for _, cells in rows:
        header = ["" if cell.value is None else str(cell.value).strip() for cell in cells]
        while header and not header[-1]:
            header.pop()
        if header:
            return header
    return []


def _rows(path: Path, title: str) -> Iterator[tuple[int, Sequence[Any]]]:
    """Row numbers and cells of a sheet. Raises WorkbookError where it breaks off."""
    with _whole(), closing(_opened(path)) as book:
        sheet = book[title]
        sheet.reset_dimensions()  # what exporters write there is often wrong
        yield from enumerate(sheet.iter_rows(), start=1)


def _titles(path: Path) -> list[str]:
    """Visible sheets of cells, in order. Raises WorkbookError."""
    with _checked(path):
        pass
    with _whole(), closing(_opened(path)) as book:
        return [each.title for each in book.worksheets if each.sheet_state == "visible"]


def _opened(path: Path) -> Any:
    return load_workbook(path, read_only=True, data_only=True, keep_links=False)


@contextmanager
def _whole() -> Iterator[None]:
    """Raise WorkbookError for whatever a damaged workbook makes its readers stumble over."""
    try:
        yield
    except WorkbookError:
        raise
    except OSError as error:
        if error.errno != EINVAL:  # a part said to lie where nothing can
            raise
        raise WorkbookError(*_BROKEN) from None
    except Exception:  # noqa: BLE001 zlib, expat and openpyxl each have errors of their own
        raise WorkbookError(*_BROKEN) from None


@contextmanager
def _checked(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive. Raises WorkbookError for a bomb, or XML with a document type."""
    with _whole(), zipfile.ZipFile(path) as file:
        try:
            _check(file)
        except UnsafeXmlError as error:
            raise WorkbookError(error.expected, error.remedy) from None
        yield file


def _check(file: zipfile.ZipFile) -> None:
    sizes = {each.filename: each.file_size for each in file.infolist()}
    texts = sum(size for name, size in sizes.items() if name.endswith("sharedStrings.xml"))
    if sum(sizes.values()) > MAX_BYTES or texts > MAX_TEXTS:
        raise UnsafeXmlError(
            f"a workbook with at most {MAX_TEXTS // 2**20} MiB of texts", "export it as CSV"
        )
    for name in sizes:
        if name.lower().endswith((".xml", ".rels", ".vml")):
            with file.open(name) as part:
                refuse_document_type(iter(lambda part=part: part.read(65_536), b""))  # type: ignore[misc]


def _parts(file: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [each for each in file.infolist() if "worksheets/" in each.filename]
