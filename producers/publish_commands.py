"""`silenthit agency publish` and `retract`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from producers.command_line import (
    CONFIG,
    FILES,
    JSON,
    MAPPING,
    WAIT,
    outcomes_of,
    progress,
    summarise,
    tell,
    waiting_count,
)
from silenthit.errors import InputError

if TYPE_CHECKING:
    from producers.intake import Intake


@click.command()
@click.argument("files", nargs=-1, type=FILES)
@CONFIG
@MAPPING
@click.option("--reinstate", is_flag=True, help="Take retracted records again.")
@click.option("--history", is_flag=True, help="Backfill: slowly, marked, behind live records.")
@click.option(
    "--again",
    multiple=True,
    metavar="RECORD_NUMBER",
    help="Send this record once more, from FILES or the last days' own copy; repeat the option.",
)
@WAIT
@JSON
def publish(  # noqa: PLR0917 click passes options by name
    files: tuple[Path, ...],
    config: Path,
    mapping: Path | None,
    reinstate: bool,
    history: bool,
    again: tuple[str, ...],
    wait: float,
    as_json: bool,
) -> None:
    """Publish the records of FILES, and whatever still waits in the outbox.

    A record that was quarantined or lost is sent --again, as its next revision.

    Exit code 2 when a record was not taken (the others are published), 4 when the broker is away
    (the records are kept; run it again).

    Example: silenthit agency publish records.csv --mapping rms.toml --config agency/agency.toml
    """
    from producers import agency as wiring

    settings = wiring.load(config)
    outcomes = outcomes_of(files, mapping, settings)
    with wiring.open_outbox(settings) as outbox:
        taken = wiring.intake(settings, outbox, reinstate=reinstate, history=history)
        renewed, unknown = _once_more(taken, again, outbox.reconsider if files else outbox.again)
        with progress("reading", None) as advance:
            tally = taken.take(outcomes, tell, advance)
        tally.corrected += 0 if files else renewed
        tally.rejected += unknown
        with (
            wiring.open_dispatcher(settings, outbox, confirm_s=max(wait, 1)) as dispatcher,
            progress("publishing", waiting_count(outbox.counts())) as advance,
        ):
            sent = dispatcher.publish_patiently(wait, advance, history=history)
    summarise(tally, sent, as_json=as_json)


def _once_more(
    taken: Intake, numbers: tuple[str, ...], renew: Callable[[bytes], object]
) -> tuple[int, int]:
    """Renew these records in the outbox; return how many, and how many can't be."""
    from producers.touch import record_id

    renewed = unknown = 0
    for place, number in enumerate(numbers, start=1):
        try:
            renewed += renew(record_id(taken.record_secret, number)) is not False
        except InputError as error:
            unknown += 1
            click.echo(f"record number {place} of {len(numbers)}: {error}", err=True)
    return renewed, unknown


@click.command()
@click.argument("record_numbers", nargs=-1, required=True)
@CONFIG
@WAIT
@JSON
def retract(record_numbers: tuple[str, ...], config: Path, wait: float, as_json: bool) -> None:
    """Take records back: expunged, sealed by a court, a juvenile's.

    The exchange forgets them; partners who were alerted are told to purge.

    Example: silenthit agency retract 2026-001234 --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.intake import Tally

    settings = wiring.load(config)
    tally = Tally()
    with wiring.open_outbox(settings) as outbox:
        intake = wiring.intake(settings, outbox)
        for place, number in enumerate(record_numbers, start=1):
            try:
                tally.withdrawn += intake.withdraw(number)
            except InputError as error:
                tally.rejected += 1
                click.echo(f"record number {place} of {len(record_numbers)}: {error}", err=True)
        with wiring.open_dispatcher(settings, outbox, confirm_s=max(wait, 1)) as dispatcher:
            sent = dispatcher.publish_patiently(wait)
    summarise(tally, sent, as_json=as_json)
