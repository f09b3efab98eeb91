from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from producers.sources.mapping import ColumnMapping
from producers.sources.propose import propose
from silenthit.errors import InputError

ROOT = Path(__file__).resolve().parent.parent.parent


def proposed(tmp_path: Path, content: str) -> dict:
    path = tmp_path / "x.csv"
    path.write_text(content, encoding="utf-8")
    return tomllib.loads(propose(path))


@pytest.mark.parametrize("name", ["bookings", "field_contacts", "tips", "incidents"])
def test_what_it_proposes_for_the_samples_is_a_mapping_and_agrees_with_theirs(name):
    [path] = (ROOT / "samples").glob(f"*/{name}.csv")
    found = tomllib.loads(propose(path))
    theirs = tomllib.loads(path.with_suffix(".toml").read_text("utf-8"))
    ColumnMapping.model_validate({"columns": found["columns"]})
    agreed = {f for f, column in theirs["columns"].items() if found["columns"].get(f) == column}
    assert "record_number" in agreed
    assert len(agreed) >= 0.8 * len(theirs["columns"])
    iso = {"", "%Y-%m-%d"}  # ISO 8601 needs no format
    dates = {each.get("formats", {}).get("date", "") for each in (found, theirs)}
    assert len(dates) == 1 or dates <= iso


def test_words_that_are_not_ours_are_listed_to_be_filled_in(tmp_path):
    found = proposed(tmp_path, "Report No,Type,Role\n1,TS,Suspect\n2,arrest,V\n")
    assert found["values"] == {"kind": {"TS": ""}, "role": {"V": ""}}


def test_dates_that_fit_two_forms_are_marked(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("No,DOB\n1,01/02/1990\n", encoding="utf-8")
    assert "# or %d/%m/%Y: check" in propose(path)
    path.write_text("No,DOB\n1,01/02/1990\n2,01/31/1990\n", encoding="utf-8")
    assert "check" not in propose(path).split("[formats]")[1]


def test_iso_dates_need_no_format(tmp_path):
    assert "formats" not in proposed(tmp_path, "No,DOB,Date\n1,1990-01-02,2026-01-02T03:04:05\n")


def test_columns_that_nothing_fits_are_said_and_quotes_in_names_survive(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('No,"Shoe ""size"""\n1,9\n', encoding="utf-8")
    assert '# not used: "Shoe \\"size\\""' in propose(path)


def test_values_of_subjects_are_not_in_the_proposal(tmp_path):
    content = "No,Name,DOB,Phone\n1,Xavier Quimby,01/31/1990,802-555-0100\n"
    path = tmp_path / "x.csv"
    path.write_text(content, encoding="utf-8")
    for said in ("Quimby", "1990", "0100"):
        assert said not in propose(path)


@pytest.mark.parametrize("content", [b"", b"\xff\x00\xff", "Nö,Näme".encode("cp1252")])
def test_what_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(InputError):
        propose(path)
