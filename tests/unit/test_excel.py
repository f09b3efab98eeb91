from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from openpyxl import Workbook

from producers.records import Outcome, Record, Rejection
from producers.sources.files import read
from producers.sources.mapping import ColumnMapping
from producers.sources.propose import propose
from schemas.vocabulary import IdentifierKind, TouchKind

HEADER = ["Report No", "Type", "When", "Last", "First", "DOB", "SSN", "Phone", "Notes"]
MAPPING = ColumnMapping.model_validate(
    {
        "columns": {
            "record_number": "Report No",
            "kind": "Type",
            "occurred_at": "When",
            "surname": "Last",
            "given": "First",
            "birth_date": "DOB",
            "ssn": "SSN",
            "phone": "Phone",
            "narrative": "Notes",
        },
        "values": {"kind": {"TS": "traffic_stop"}},
        "formats": {"date": "%m/%d/%Y", "datetime": "%m/%d/%Y %H:%M"},
    }
)
WHEN = datetime(2026, 3, 1, 22, 15)  # noqa: DTZ001 a workbook's times have no zone
ROW = ["A-1", "TS", WHEN, "Ro", "Ana", date(1990, 1, 2), 12345678, 8025550100.0, "first\nsecond"]


def written(folder: Path, *rows: list[object], name: str = "rms.xlsx") -> Path:
    book = Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(row)
    for cell in sheet["G"]:
        cell.number_format = "000\\-00\\-0000"
    book.save(folder / name)
    return folder / name


def outcomes(path: Path, mapping: ColumnMapping = MAPPING) -> list[Outcome]:
    return list(read(path, mapping, UTC))


def test_cells_that_are_dates_and_numbers_read_as_the_clerk_sees_them(tmp_path):
    [record] = outcomes(written(tmp_path, HEADER, ROW))
    assert isinstance(record, Record)
    assert (record.number, record.kind) == ("A-1", TouchKind.TRAFFIC_STOP)
    assert record.occurred_at == datetime(2026, 3, 1, 22, 15, tzinfo=UTC)
    assert record.narrative == "first\nsecond"
    [subject] = record.subjects
    assert subject.birth_dates == ("1990-01-02",)
    values = {each.kind: each.value for each in subject.identifiers}
    assert values[IdentifierKind.SSN] == "012345678"
    assert values[IdentifierKind.PHONE] == "8025550100"


def test_dates_written_as_text_follow_the_formats_and_rows_of_one_number_are_one_record(tmp_path):
    text = ["A-1", "TS", "03/01/2026 22:15", "Li", "Bo", "12/31/1985", None, None, None]
    [record] = outcomes(written(tmp_path, HEADER, ROW, text))
    assert isinstance(record, Record)
    assert [s.birth_dates for s in record.subjects] == [("1990-01-02",), ("1985-12-31",)]


def test_every_sheet_with_the_columns_is_read_and_a_legend_is_not(tmp_path):
    path = written(tmp_path, HEADER, ROW)
    book = Workbook()
    book.active.append(["What the codes mean"])
    for number, state in ((2, "visible"), (3, "visible"), (4, "hidden")):
        sheet = book.create_sheet(f"Week {number}")
        sheet.append([])
        sheet.append(HEADER)
        sheet.append([f"A-{number}", *ROW[1:]])
        sheet.sheet_state = state
    book.save(path)
    assert [each.number for each in outcomes(path) if isinstance(each, Record)] == ["A-2", "A-3"]
    one = MAPPING.model_copy(update={"sheet": "Week 3"})
    assert [each.number for each in outcomes(path, one) if isinstance(each, Record)] == ["A-3"]
    none = MAPPING.model_copy(update={"sheet": "Week 9"})
    [rejection] = outcomes(path, none)
    assert "'Week 9'" in str(rejection)


def test_a_sheet_with_some_of_the_columns_is_no_legend_but_an_error(tmp_path):
    [rejection] = outcomes(written(tmp_path, HEADER[:-1], ROW[:-1]))
    assert isinstance(rejection, Rejection)
    assert "the column 'Notes'" in str(rejection)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (2, "yesterday", "row 2, column 'When': expected a possible time"),
        (2, 45000.5, "row 2, column 'When': expected a possible time"),
        (5, "1990-02-30", "row 2, column 'DOB': expected a possible date"),
        (6, 1.2345678901234567e18, "row 2, column 'SSN': expected a number of at most 15 digits"),
        (4, "#REF!", "row 2, column 'First': expected a value, got an error of Excel"),
        (0, None, "row 2, column 'Report No': expected a record number"),
    ],
)
def test_a_wrong_type_names_sheet_row_and_column_and_spares_the_others(
    tmp_path, column, value, said
):
    bad = [*ROW]
    bad[column] = value
    found = outcomes(written(tmp_path, HEADER, bad, ["A-2", *ROW[1:]]))
    [rejection] = [each for each in found if isinstance(each, Rejection)]
    assert "sheet 'Sheet'" in str(rejection)
    assert said in str(rejection)
    assert [each.number for each in found if isinstance(each, Record)] == ["A-2"]


def test_a_cell_beyond_the_header_is_an_error(tmp_path):
    [rejection] = outcomes(written(tmp_path, HEADER, [*ROW, "stray"]))
    assert "row 2: expected no cell beyond" in str(rejection)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0" + b"\0" * 600])
def test_what_is_no_workbook_is_refused_with_the_remedy(tmp_path, content):
    path = tmp_path / "locked.xlsx"
    path.write_bytes(content)
    [rejection] = outcomes(path)
    assert "without a password" in str(rejection)


def test_a_workbook_cut_off_or_of_old_excel_is_refused(tmp_path):
    path = written(tmp_path, HEADER, *([f"A-{n}", *ROW[1:]] for n in range(500)))
    path.write_bytes(path.read_bytes()[:-2000])
    assert "a whole Excel workbook" in str(outcomes(path)[0])
    old = tmp_path / "rms.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0")
    assert "save it as .xlsx" in str(outcomes(old)[0])


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml"])
@pytest.mark.parametrize("damage", ["cut", "changed", "packed"])
def test_a_part_that_is_damaged_is_refused_with_the_remedy_whoever_stumbles(tmp_path, part, damage):
    path = written(tmp_path, HEADER, *([f"A-{n}", *ROW[1:]] for n in range(50)))
    with zipfile.ZipFile(path) as whole:
        parts, place = {n: whole.read(n) for n in whole.namelist()}, whole.getinfo(part)
    if damage == "packed":
        content = bytearray(path.read_bytes())
        start = place.header_offset + 30 + len(part)
        content[start : start + 40] = bytes(255 for _ in range(40))
        path.write_bytes(content)
    else:
        content = parts[part]
        half = len(content) // 2
        parts[part] = content[:half] + (b"\1" + content[half:] if damage == "changed" else b"")
        with zipfile.ZipFile(path, "w") as made:
            for name, kept in parts.items():
                made.writestr(name, kept)
    found = outcomes(path)
    assert "a whole Excel workbook" in str(found[-1])
    assert all(isinstance(each, Record) for each in found[:-1])


def test_a_bomb_of_entities_or_of_zeros_is_refused_unexpanded(tmp_path, monkeypatch):
    path = written(tmp_path, HEADER, ROW)
    lol = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><worksheet>&a;</worksheet>'
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as bomb:
        for each in whole.namelist():
            bomb.writestr(each, lol if "sheet1" in each else whole.read(each))
    assert "no document type declaration" in str(outcomes(tmp_path / "b.xlsx")[0])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/other/sharedStrings.xml", b" " * (257 * 2**20))
    assert "MiB of texts" in str(outcomes(path)[0])


def test_a_mapping_is_proposed_from_a_workbook(tmp_path):
    text = propose(written(tmp_path, HEADER, ROW))
    assert 'record_number = "Report No"' in text
    assert '"TS" = ""  # fill in' in text
    assert "[formats]" not in text
