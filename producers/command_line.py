"""What the agency's commands have in common: options, progress, and the summary at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from click.exceptions import Exit

from silenthit.errors import InputError

if TYPE_CHECKING:
    from producers.intake import Tally
    from producers.publisher import Published
    from producers.records import Outcome, Rejection
    from producers.settings import AgencySettings

SLOW_S = 2.0

CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The agency's agency.toml.",
)
MAPPING = click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML: which column holds which field (CSV, Excel).",
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
WAIT = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to keep trying while broker or key holder are away.",
)
FILES = click.Path(exists=True, dir_okay=False, path_type=Path)


def outcomes_of(
    files: tuple[Path, ...], mapping: Path | None, settings: AgencySettings
) -> Iterator[Outcome]:
    """Yield what these files hold; `mapping` says how the tables among them are to be read."""
    from producers.sources.files import read
    from producers.sources.mapping import ColumnMapping
    from silenthit.settings import load_toml

    columns = load_toml(mapping, ColumnMapping) if mapping else ColumnMapping()
    return (each for path in files for each in read(path, columns, settings.zone))


def tell(rejection: Rejection) -> None:
    """Say on standard error which record was not taken, and what to do."""
    click.echo(f"not taken: {rejection}", err=True)


def waiting_count(counts: dict[str, int]) -> int:
    """How many records are not confirmed yet."""
    return counts["accepted"] + counts["sealed"]


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, shown once it takes over two seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task(what, total=total)
    start = time.monotonic()

    def advance(count: int) -> None:
        if not bar.live.is_started and time.monotonic() - start > SLOW_S:
            bar.start()
        bar.advance(task, count)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def summarise(tally: Tally, sent: Published, *, as_json: bool) -> None:
    """Say what became of the records; exit with 2 when some were not taken."""
    rejected = tally.rejected + sent.refused
    if as_json:
        counts = {**asdict(tally), "rejected": rejected, "published": sent.confirmed}
        click.echo(json.dumps({"accepted": tally.accepted, **counts}))
    else:
        click.echo(
            f"{tally.accepted:,} accepted ({tally.new:,} new, {tally.corrected:,} corrected, "
            f"{tally.unchanged:,} unchanged), {tally.withdrawn:,} retracted, "
            f"{tally.withheld:,} withheld by policy, "
            f"{rejected:,} not taken; {sent.confirmed:,} confirmed by the broker"
        )
    if sent.refused:
        click.echo(f"{sent.refused:,} too large for the broker; split those records", err=True)
    if rejected:
        raise Exit(InputError.exit_code)
