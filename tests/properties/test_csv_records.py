from __future__ import annotations

import csv
from datetime import UTC
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from producers.records import Record, Rejection
from producers.sources.csv import read_table
from producers.sources.mapping import FIELDS, ColumnMapping

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
PLAIN = ("record_number", "surname", "given", "phone", "narrative", "place")


def table(rows: list[dict[str, str]]) -> str:
    file = StringIO()
    writer = csv.DictWriter(file, PLAIN)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(PLAIN, TEXT)), max_size=8))
def test_whatever_stands_in_text_cells_every_numbered_row_reaches_its_record(rows):
    found = list(read_table(StringIO(table(rows), newline=""), "x", ColumnMapping(), UTC))
    records = {each.number: each for each in found if isinstance(each, Record)}
    written = [{key: value.strip() for key, value in row.items()} for row in rows]
    assert set(records) == {row["record_number"] for row in written} - {""}
    for row in written:
        if row["record_number"]:
            names = [n.surname for s in records[row["record_number"]].subjects for n in s.names]
            assert not row["surname"] or row["surname"] in names
            assert row["narrative"] in records[row["record_number"]].narrative


@given(st.text(max_size=400))
def test_any_text_gives_outcomes_and_no_error(text):
    for each in read_table(StringIO(text, newline=""), "x", ColumnMapping(), UTC):
        assert isinstance(each, Record | Rejection)


@given(st.lists(TEXT, min_size=len(FIELDS), max_size=len(FIELDS)))
def test_any_cells_under_our_columns_give_outcomes_that_quote_none_of_them(cells):
    file = StringIO()
    csv.writer(file).writerows([FIELDS, cells])
    file.seek(0)
    ours = " ".join(FIELDS)  # what a rejection may name, whatever the cells say
    telling = [cell for cell in cells if len(cell) > 8 and cell not in ours]
    for each in read_table(file, "x", ColumnMapping(), UTC):
        if isinstance(each, Rejection):
            assert not any(cell in str(each) for cell in telling)
