from __future__ import annotations

from datetime import UTC
from io import StringIO

import pytest
from pydantic import ValidationError

from producers.records import Record, Rejection
from producers.sources import csv
from producers.sources.csv import read_table
from producers.sources.mapping import ColumnMapping
from schemas.parts import Identifier, PersonName
from schemas.vocabulary import IdentifierKind, NameKind, SubjectRole, TouchKind

MAPPING = ColumnMapping.model_validate(
    {
        "columns": {
            "record_number": "No", "kind": "Type", "role": "Role", "surname": "Last",
            "given": "First", "alias": "AKA", "birth_date": "DOB", "phone": "Phone",
            "plate": "Plate", "plate_issuer": "St", "offences": "Charges", "occurred_at": "When",
            "narrative": "Text",
        },
        "values": {"kind": {"TS": "traffic_stop"}, "role": {"V": "victim"}},
        "formats": {
            "date": "%m/%d/%Y", "datetime": "%m/%d/%Y %H:%M", "timezone": "America/New_York",
        },
    }
)  # fmt: skip
HEADER = "No,Type,Role,Last,First,AKA,DOB,Phone,Plate,St,Charges,When,Text\n"


def outcomes(body: str, *, mapping: ColumnMapping = MAPPING, held: bool = True) -> list:
    return list(read_table(StringIO(body), "x.csv", mapping, UTC, held=held))


def test_a_row_becomes_a_record():
    row = "7,TS,V,Ro,Ana,Annie;A. Ro,02/03/1990,802-555-0100,,,64a;13B,01/02/2026 03:04,hello\n"
    [record] = outcomes(HEADER + row)
    assert record.number == "7"
    assert record.kind is TouchKind.TRAFFIC_STOP
    assert record.offences == ("64A", "13B")
    assert record.occurred_at.isoformat() == "2026-01-02T03:04:00-05:00"
    assert record.contact.case_number == "7"
    [subject] = record.subjects
    assert subject.role is SubjectRole.VICTIM
    assert subject.birth_dates == ("1990-02-03",)
    assert subject.names == (
        PersonName(surname="Ro", given="Ana"),
        PersonName(full="Annie", kind=NameKind.ALIAS),
        PersonName(full="A. Ro", kind=NameKind.ALIAS),
    )
    assert subject.identifiers == (Identifier(kind=IdentifierKind.PHONE, value="802-555-0100"),)


def test_an_age_counts_at_the_day_it_happened_where_no_birth_date_is_given():
    columns = {"record_number": "No", "surname": "Last", "age": "Age", "occurred_at": "When"}
    mapping = ColumnMapping.model_validate({"columns": columns})
    rows = "No,Last,Age,When\n7,Ro,30,2024-03-01T00:00\n8,Li,17,2024-09-01T00:00\n9,Mo,old,\n"
    subjects = [each.subjects[0] for each in outcomes(rows, mapping=mapping)]
    assert [each.birth_dates for each in subjects] == [("1993",), ("2007",), ()]
    assert [each.minor for each in subjects] == [False, True, False]


def test_coordinates_stand_behind_the_place():
    columns = {"record_number": "No", "place": "At", "latitude": "Lat", "longitude": "Lon"}
    mapping = ColumnMapping.model_validate({"columns": columns})
    rows = "No,At,Lat,Lon\n7,Motel,42.36,-71.0575\n8,,42.36,-71.0575\n9,Motel,0,0\n"
    places = [each.place for each in outcomes(rows, mapping=mapping)]
    assert places == ["Motel (42.36000, -71.05750)", "42.36000, -71.05750", "Motel"]


def test_rows_of_one_number_are_one_record_wherever_they_stand():
    rows = "7,TS,,Ro,Ana,,,,,,,,\n8,TS,,Li,Bo,,,,,,,,\n7,TS,,Mo,Cy,,,,,,,,\n"
    first, second = outcomes(HEADER + rows)
    assert [s.names[0].surname for s in first.subjects] == ["Ro", "Mo"]
    assert second.number == "8"


def test_a_row_with_items_alone_gives_the_touch_its_items():
    [record] = outcomes(HEADER + "7,TS,,Ro,Ana,,,,,,,,\n7,TS,,,,,,,ABC123,VT,,,\n")
    assert len(record.subjects) == 1
    assert record.items == (Identifier(kind=IdentifierKind.PLATE, value="ABC123", issuer="VT"),)


def test_newlines_and_separators_inside_quotes_belong_to_the_cell():
    [record] = outcomes(HEADER + '7,TS,,Ro,Ana,,,,,,,,"one,\ntwo ""three"""\n')
    assert record.narrative == 'one,\ntwo "three"'


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("7,TS,,Quimby,Ana,,13/45/1990,,,,,,", "DOB"),
        ("7,Xyzzy,,Quimby,Ana,,,,,,,,", "Type"),
        ("7,TS,Zebra,Quimby,Ana,,,,,,,,", "Role"),
        ("7,TS,,Quimby,Ana,,,,,,99X,,", "Charges"),
        ("7,TS,,Quimby,Ana,,,,,,,yesterday,", "When"),
        (",TS,,Quimby,Ana,,,,,,,,", "No"),
    ],
)
def test_a_bad_cell_names_line_and_column_never_content_and_the_rest_goes_through(row, column):
    good = "8,TS,,Li,Bo,,,,,,,,"
    found = outcomes(f"{HEADER}{good.replace('8', '9')}\n{row}\n{good}\n")
    [rejection] = [each for each in found if isinstance(each, Rejection)]
    assert f"x.csv, line 3, column '{column}'" in str(rejection)
    assert len([each for each in found if isinstance(each, Record)]) == 2
    for cell in row.split(","):
        assert len(cell) < 3 or cell not in str(rejection)


def test_a_mapped_column_that_is_missing_is_named():
    [rejection] = outcomes("No,Type\n1,TS\n")
    assert "column 'Role'" in str(rejection)


@pytest.mark.parametrize("body", ["", "\n", "a,a\n1,2\n"])
def test_a_table_without_a_usable_header_is_refused(body):
    [rejection] = outcomes(body)
    assert isinstance(rejection, Rejection)


def test_a_row_of_other_length_is_refused_and_the_rest_goes_through():
    found = outcomes(HEADER + "7,TS,,Ro\n8,TS,,Li,Bo,,,,,,,,\n")
    assert isinstance(found[0], Rejection)
    assert found[1].number == "8"


def test_an_open_quote_is_refused_with_its_line():
    found = outcomes(HEADER + '7,TS,,Ro,Ana,,,,,,,,"open\n')
    assert any("quote" in str(each) for each in found if isinstance(each, Rejection))


def test_without_a_mapping_columns_bear_our_names():
    [record] = outcomes("record_number,name,phone\n1,Ana Ro,8025550100\n", mapping=ColumnMapping())
    assert record.subjects[0].names[0].full == "Ana Ro"


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_seen_in_the_header(separator):
    body = "record_number,name\n1,Ana Ro\n".replace(",", separator)
    assert outcomes(body, mapping=ColumnMapping())[0].number == "1"


def test_in_a_large_file_the_rows_of_a_record_stand_together_or_are_refused():
    rows = "7,TS,,Ro,Ana,,,,,,,,\n7,TS,,Mo,Cy,,,,,,,,\n8,TS,,Li,Bo,,,,,,,,\n7,TS,,No,Di,,,,,,,,\n"
    found = outcomes(HEADER + rows, held=False)
    assert [len(each.subjects) for each in found if isinstance(each, Record)] == [2, 1]
    assert ["line 5" in str(each) for each in found if isinstance(each, Rejection)] == [True]


@pytest.mark.parametrize(
    ("data", "number"),
    [
        ("\ufeffrecord_number,name\n1,Ana Ró\n".encode(), 1),
        ("record_number,name\n1,Ana Ró\n".encode("utf-16"), 1),
        ("record_number,name\r\n1,Ana Ró\r\n".encode(), 1),
    ],
)
def test_utf8_with_and_without_its_mark_and_utf16_are_read(tmp_path, data, number):
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    found = list(csv.read(path, ColumnMapping(), UTC))
    assert [each.subjects[0].names[0].full for each in found] == ["Ana Ró"] * number


def test_another_encoding_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("record_number,name\n1,Ana Ró\n".encode("cp1252"))
    [rejection] = csv.read(path, ColumnMapping(), UTC)
    assert "UTF-8" in str(rejection)


@pytest.mark.parametrize(
    "mapping",
    [
        {"columns": {"shoe_size": "X"}},
        {"values": {"kind": {"A": "party"}}},
        {"values": {"sex": {"A": "F"}}},
        {"formats": {"timezone": "Mars/Olympus"}},
    ],
)
def test_a_mapping_that_names_what_we_do_not_know_is_refused(mapping):
    with pytest.raises(ValidationError):
        ColumnMapping.model_validate(mapping)
