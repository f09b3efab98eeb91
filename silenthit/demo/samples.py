"""What the demo runs on: agencies with their records, partners with their watch lists."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from pathlib import Path
from typing import NamedTuple

from silenthit.errors import InputError

AT_ONCE = 8  # records that a paced demo publishes together


class Expected(NamedTuple):
    """One alert that must come: at whom, of which watch, of which record."""

    partner: str
    label: str
    record_number: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Agency:
    """A department of the samples: its folder there, its ORI, its name."""

    folder: str
    ori: str
    name: str


AGENCIES = (
    Agency(folder="harbor-city", ori="MA0139900", name="Harbor City Police Department"),
    Agency(folder="millbrook", ori="MA0139800", name="Millbrook Police Department"),
)
PARTNERS = ("fbi-c7", "hsi-harbor")


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Files that one call of `silenthit agency publish` takes."""

    agency: Agency
    files: tuple[Path, ...]
    mapping: Path | None = None

    @property
    def source(self) -> str:
        """What a person calls these records: the CSV file they are from, or LEXS."""
        return self.mapping.stem.replace("_", " ") if self.mapping else "LEXS reports"


def find_samples() -> Path:
    """Return the `samples` folder beside the code. Raises InputError where there is none."""
    for folder in (Path(__file__).resolve().parents[2] / "samples", Path("samples").resolve()):
        if (folder / "expected_alerts.toml").is_file():
            return folder
    raise InputError(
        "expected the samples of the source repository, got none here; "
        "run in a clone of it, or give `--samples FOLDER`"
    )


def watch_lists(samples: Path) -> dict[str, Path]:
    """Return the watch list file of each partner."""
    return {partner: samples / "watches" / f"{partner}.toml" for partner in PARTNERS}


def count_watches(path: Path) -> int:
    """How many watches a list has."""
    return len(tomllib.loads(path.read_text(encoding="utf-8"))["watch"])


def expected_alerts(samples: Path) -> tuple[Expected, ...]:
    """Return the alerts that were worked out by hand."""
    found = tomllib.loads((samples / "expected_alerts.toml").read_text(encoding="utf-8"))
    return tuple(
        Expected(each["partner"], each["label"], each["record_number"]) for each in found["alert"]
    )


def whole_batches(samples: Path) -> list[Batch]:
    """Return everything in as few calls as can be: one for the XML, one a CSV file."""
    batches = []
    for agency in AGENCIES:
        folder = samples / agency.folder
        batches.append(Batch(agency=agency, files=tuple(sorted(folder.glob("lexs/*.xml")))))
        batches += [
            Batch(agency=agency, files=(each,), mapping=each.with_suffix(".toml"))
            for each in sorted(folder.glob("*.csv"))
        ]
    return batches


def paced_batches(samples: Path, into: Path) -> Iterator[Batch]:
    """Yield the same in small pieces, the sources taking turns, as a day brings them.

    CSV files are cut into files of a few records in the folder `into`.
    """
    pieces = [list(_pieces(batch, into)) for batch in whole_batches(samples)]
    for turn in zip_longest(*pieces):
        yield from filter(None, turn)


def joined(batches: Iterable[Batch]) -> list[Batch]:
    """Return the same records in as few calls as their mappings allow."""
    several: dict[tuple[str, Path | None], Batch] = {}
    for each in batches:
        key = (each.agency.folder, each.mapping)
        before = several[key].files if key in several else ()
        several[key] = replace(each, files=before + each.files)
    return list(several.values())


def _pieces(batch: Batch, into: Path) -> Iterator[Batch]:
    if batch.mapping is None:
        for start in range(0, len(batch.files), AT_ONCE):
            files = batch.files[start : start + AT_ONCE]
            yield Batch(agency=batch.agency, files=files)
        return
    number = tomllib.loads(batch.mapping.read_text(encoding="utf-8"))["columns"]["record_number"]
    for source in batch.files:
        for part, (header, rows) in enumerate(_cut(source, number)):
            piece = into / f"{batch.agency.folder}-{source.stem}-{part:02}.csv"
            with piece.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, header)
                writer.writeheader()
                writer.writerows(rows)
            yield Batch(agency=batch.agency, files=(piece,), mapping=batch.mapping)


def _cut(source: Path, number: str) -> Iterator[tuple[list[str], list[dict[str, str]]]]:
    """Cut a file after every few records; the rows of one record stay together."""
    with source.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        header = list(reader.fieldnames or ())
        records = [list(rows) for _, rows in groupby(reader, key=lambda row: row[number])]
    for start in range(0, len(records), AT_ONCE):
        yield header, [row for rows in records[start : start + AT_ONCE] for row in rows]
