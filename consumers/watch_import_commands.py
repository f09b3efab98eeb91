"""`silenthit watch import`: many watches are entered, from files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import rich_click as click

from consumers.command_line import config_option, example, json_option, opened, print_json
from consumers.entering import WORTH_A_BAR, place, signed, tracked
from consumers.partner import Partner
from consumers.sending import delivered_or_error, end_with
from consumers.watch_checks import new_watch
from consumers.watch_files import Written, read_watches, watch_fields
from consumers.watch_list import watches_of
from consumers.watches import Watch
from silenthit.errors import InputError, SilentHitError


@dataclass(kw_only=True, slots=True)
class _Row:
    """What became of one watch of a file."""

    written: Written
    watch: Watch | None = field(default=None, repr=False)
    fault: str = ""
    watch_id: bytes = b""


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check only; store and send nothing.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what became of each row to this CSV file.",
)
@config_option
@json_option
@example(
    """silenthit watch import watches.toml list.csv list.xlsx --report done.csv

  [[watch]]
  label = "Blue Heron 1"
  legal_basis = "Probable cause affidavit, 2026-10-02"
  stated_by = "SA Reyes"
  [[watch.subject]]
  surname = "Doe"
  given = "John"
  birth_dates = ["1980-01-02"]
  identifiers = [{kind = "plate", value = "AB12345", issuer = "CT"}]

  [[watch]]
  label = "Blue Heron 2"
  legal_basis = "Surveillance order, 2026-10-20"
  stated_by = "SA Reyes"
  [watch.area]
  place = "41.3100, -72.9240"
  radius_m = 300
  starts_at = 2026-11-03T18:00:00-05:00
  ends_at = 2026-11-04T02:00:00-05:00

  A table has these as columns, a row for each subject; rows with the same text
  in the column `watch` are one watch, and ";" stands between several values.
  It has no room for a place."""
)
def import_command(
    *, files: tuple[Path, ...], dry_run: bool, report: Path | None, config: Path, as_json: bool
) -> None:
    """Add the watches of these files. A faulty one is reported and the others go through."""
    with opened(config) as ours:
        rows = [_Row(written=each) for path in files for each in read_watches(path)]
        for row in tracked(rows, "reading", bar=len(rows) >= WORTH_A_BAR):
            _read(row, ours)
        good = [row for row in rows if row.watch is not None]
        if not dry_run:
            ids = place(ours, [row.watch for row in good if row.watch is not None])
            for row, watch_id in zip(good, ids, strict=True):
                row.watch_id = watch_id
        delivered = None if dry_run else delivered_or_error(ours)
        waiting = good[:1] and not dry_run and _waits(ours, good[0])
    faults = [f"{row.written.place}: {row.fault}" for row in rows if row.fault]
    if report is not None:
        _write_report(report, rows)
    if as_json:
        added = [row.watch_id.hex() for row in good if row.watch_id]
        print_json({"added": added, "accepted": len(good), "faults": faults})
    else:
        for fault in faults:
            click.echo(f"error: {fault}", err=True)
        done = "would be added" if dry_run else "added"
        click.echo(f"{len(good)} watches {done}, {len(faults)} refused")
        if waiting:
            click.echo("A supervisor lets them stand: silenthit watch approve --all")
    end_with(delivered)
    if faults:
        raise InputError(
            f"expected {len(rows)} watches in order, got {len(faults)} refused; correct these and "
            "import them alone"
        )


def _read(row: _Row, ours: Partner) -> None:
    try:
        found = new_watch(signed(watch_fields(row.written.content), ours), ours.now())
        ours.check_channels(found.deliver_to)
        row.watch = found
    except SilentHitError as error:
        row.fault = str(error)


def _waits(ours: Partner, row: _Row) -> bool:
    return watches_of(ours.vault, [row.watch_id])[0].state == "waiting"


def _write_report(path: Path, rows: Sequence[_Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "rows", "result", "watch_id", "reason"])
        for row in rows:
            where = [row.written.path.name, " ".join(map(str, row.written.rows))]
            result = "refused" if row.fault else "added" if row.watch_id else "in order"
            table.writerow([*where, result, row.watch_id.hex(), row.fault])
