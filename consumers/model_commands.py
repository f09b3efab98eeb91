"""`silenthit partner estimate-model`: triage weights from a partner's own records."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import rich_click as click

from consumers.command_line import example
from schemas.parts import Subject
from silenthit.errors import InputError
from silenthit.subject_options import read_subject

_SEVERAL = {"aliases", "street_names", "birth_dates"}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("estimate-model")
@click.argument("watched", type=_FILE)
@click.argument("seen", type=_FILE, required=False)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("model.json"),
    show_default=True,
    help="The model to write; an existing file is never overwritten.",
)
@example("silenthit partner estimate-model ours.csv theirs.csv --output fbi/model.json")
def estimate_model(*, watched: Path, seen: Path | None, output: Path) -> None:
    """Estimate triage's weights from records of your own.

    Each CSV has a person a row, with the columns of a subject: surname, given, middle, suffix,
    full, aliases, street_names, birth_dates, sex, address, phone, ssn and so on; several values in
    a cell are split at ";". Two files are held against each other, one against itself. No answers
    are needed: some thousand records with some hundred people in common are. Fields that the files
    lack keep the shipped weights.

    Then set [triage] model = "model.json" in partner.toml; hit and possible there are the
    probabilities from which an alert is one.
    """
    from silenthit.identity.estimate import estimate, model_from  # noqa: PLC0415

    if output.exists():
        raise InputError(f"expected a new file, got {output}, which exists; choose another")
    others = list(read_people(seen)) if seen else None
    found = estimate(list(read_people(watched)), others)
    output.write_text(json.dumps(model_from(found), indent=2) + "\n", "utf-8")
    click.echo(f"about {found.true_pairs:.0f} pairs of one person; wrote {output}")


def read_people(path: Path) -> Iterator[Subject]:
    """Read a CSV of people. Raises InputError naming the file and line, never what it says."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        try:
            for row in rows:
                yield read_subject(_fields(row))
        except (InputError, UnicodeDecodeError, csv.Error) as error:
            said = f"; {error}" if isinstance(error, InputError) else ""
            raise InputError(
                f"expected CSV of people (UTF-8) in {path}, line {rows.line_num}{said}"
            ) from None


def _fields(row: dict[str | None, str | None]) -> dict[str, object]:
    """A row as the fields of a subject; surplus cells have no column, so they are named "?"."""
    cells = {name or "?": cell or "" for name, cell in row.items()}
    parts = {name: [part.strip() for part in cell.split(";")] for name, cell in cells.items()}
    return {
        name: parts[name] if name in _SEVERAL or ";" in cell else cell.strip()
        for name, cell in cells.items()
        if cell.strip()
    }
