from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from openpyxl import Workbook

from consumers.watch_checks import new_watch, validated
from consumers.watch_files import read_watches, watch_fields
from consumers.watches import FIRST_VALIDATION, LONGEST_LIFE, NEXT_VALIDATION
from schemas.vocabulary import IdentifierKind
from silenthit.errors import InputError, RefusedError
from tests.partner_room import NOW, john, watch_on

HEADER = ["Watch", "Label", "Legal basis", "Surname", "Given", "DOB", "Phone", "Plate", "Minor"]
ROWS = [
    ["a", "Heron", "affidavit", "Doe", "John", "1980-01-02", "203-555-0142; 203-555-0143", "", ""],
    ["", "", "", "", "", "", "", "", ""],
    ["a", "", "", "Roe", "Jane", "1984-05-06", "", "CT:AB12345", "yes"],
    ["", "Egret", "affidavit", "Poe", "Ann", "1990-07-08", "", "", "no"],
]


def _csv(path: Path) -> Path:
    lines = [",".join(each) for each in [HEADER, *ROWS]]
    path.write_text("\n".join(lines), "utf-8-sig")
    return path


def _excel(path: Path) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(HEADER)
    for row in ROWS:
        cells = [date.fromisoformat(each) if each[4:5] == "-" and each[:2] == "19" else each or None
                 for each in row]  # fmt: skip
        sheet.append(cells)
    book.save(path)
    return path


@pytest.mark.parametrize(("write", "name"), [(_csv, "list.csv"), (_excel, "list.xlsx")])
def test_rows_of_a_table_become_watches_of_several_subjects(tmp_path, write, name) -> None:
    first, second = read_watches(write(tmp_path / name))
    assert (first.rows, second.rows) == ((2, 4), (5,))
    assert first.place.endswith("row 2, 4")
    heron = new_watch({"stated_by": "SA Reyes", **watch_fields(first.content)}, NOW)
    assert heron.label == "Heron"
    john_doe, jane = heron.subjects
    assert [each.value for each in john_doe.identifiers] == ["203-555-0142", "203-555-0143"]
    assert (jane.identifiers[0].kind, jane.identifiers[0].issuer) == (IdentifierKind.PLATE, "CT")
    assert (jane.minor, john_doe.minor) == (True, False)
    assert jane.birth_dates == ("1984-05-06",)


def test_a_number_that_excel_made_of_a_phone_is_one_again(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["label", "phone", "expires_at"], ["Heron", 2035550142.0, datetime(2026, 12, 24)]):  # noqa: DTZ001 as Excel has them
        sheet.append(row)
    book.save(tmp_path / "list.xlsx")
    (found,) = read_watches(tmp_path / "list.xlsx")
    fields = watch_fields(found.content)
    assert fields["subjects"][0].identifiers[0].value == "2035550142"
    assert fields["expires_at"] == datetime(2026, 12, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("a.csv", b"label,colour\n", "colour"),
        ("a.csv", b"", "none"),
        ("a.csv", b"\xff\xfe", "UTF-8"),
        ("a.csv", b'label\n"x', "save it anew"),
        ("a.xlsx", b"no workbook", ".xlsx"),
        ("a.xlsx", b"PK\x05\x06" + bytes(18), ".xlsx"),
        ("a.toml", b"[[watch", "TOML"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path, name, content, remedy) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"a\.") as refused:
        read_watches(tmp_path / name)
    assert remedy in str(refused.value)


def test_a_cell_that_will_not_do_is_named_by_its_field_alone() -> None:
    with pytest.raises(InputError, match="minor") as refused:
        watch_fields({"label": "x", "subject": [{"surname": "Doe", "minor": "Quillfeather"}]})
    assert "Quillfeather" not in str(refused.value)


def _new(**more: object) -> object:
    fields = {"label": "x", "legal_basis": "y", "stated_by": "z", "subjects": (john(),)}
    return new_watch({**fields, **more}, NOW)


def test_a_new_watch_is_validated_after_ninety_days_however_late_it_ends() -> None:
    assert _new().expires_at == NOW + FIRST_VALIDATION
    long = _new(expires_at=NOW + timedelta(days=700))
    assert (long.expires_at, long.ends_at) == (NOW + FIRST_VALIDATION, NOW + timedelta(days=700))
    short = _new(expires_at=NOW + timedelta(days=20))
    assert (short.expires_at, short.ends_at) == (NOW + timedelta(days=20), None)
    with pytest.raises(RefusedError, match="five years"):
        _new(expires_at=NOW + LONGEST_LIFE + timedelta(days=1))


def test_a_review_lets_it_stand_for_a_year_or_to_its_end_and_never_beyond() -> None:
    watch = watch_on(ends_at=NOW + timedelta(days=500))
    once = validated(watch, NOW)
    assert (once.expires_at, once.reviewed_at) == (NOW + NEXT_VALIDATION, NOW)
    later = NOW + timedelta(days=300)
    twice = validated(once, later)
    assert twice.expires_at == twice.ends_at == NOW + timedelta(days=500)
    with pytest.raises(RefusedError, match="--days"):
        validated(twice, NOW + timedelta(days=500))
    again = validated(twice, NOW + timedelta(days=500), days=30)
    assert (again.expires_at, again.ends_at) == (NOW + timedelta(days=530), None)


@pytest.mark.parametrize(
    ("more", "decision", "score", "wanted"),
    [
        ({}, "possible", 0.1, True),
        ({}, "hit", None, True),
        ({"page_from": "hit"}, "possible", 0.9, False),
        ({"page_from": "hit"}, "hit", 0.9, True),
        ({"min_score": 0.8}, "hit", 0.7, False),
        ({"min_score": 0.8}, "hit", 0.8, True),
        ({"min_score": 0.8}, "possible", None, True),
    ],
)
def test_a_watch_says_what_people_want_to_hear_of(more, decision, score, wanted) -> None:
    assert watch_on(**more).wants(decision, score) is wanted
