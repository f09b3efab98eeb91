"""`silenthit agency`: turn an agency's own records into touches and publish them.

$ silenthit agency publish records.csv --mapping rms.toml --config agency/agency.toml
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from click.exceptions import Exit

from silenthit.errors import InputError, SettingsError

if TYPE_CHECKING:
    from producers.intake import Tally
    from producers.publisher import Published
    from producers.records import Outcome, Rejection
    from producers.settings import AgencySettings

SLOW_S = 2.0

_CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The agency's agency.toml.",
)
_MAPPING = click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML: which column holds which field (CSV).",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
_WAIT = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to keep trying while broker or key holder are away.",
)
_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def agency() -> None:
    """Turn an agency's own records into touches and publish them.

    Example: silenthit agency publish incident.xml --config agency/agency.toml
    """


@agency.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--ori", required=True, help="The agency's ORI, such as VT0040100.")
@click.option("--name", required=True, help="The agency's name, as partners will read it.")
@click.option("--bootstrap", required=True, help="HOST:PORT of the agency bus.")
@click.option("--local-key", type=_FILES, help="Epoch secrets of a development key holder.")
@click.option(
    "--key-holder",
    "bundles",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="The bundle that a key holder made for this agency.",
)
def init(  # noqa: PLR0917 click passes options by name
    folder: Path,
    ori: str,
    name: str,
    bootstrap: str,
    local_key: Path | None,
    bundles: tuple[Path, ...],
) -> None:
    """Set up an agency: its keys, its configuration, and two files to hand over.

    Example: silenthit agency init pd --ori VT0040100 --name "Burlington PD"
    --bootstrap localhost:9092 --local-key epoch1.json
    """
    from producers.enrolment import create

    made = create(
        folder, ori=ori, name=name, bootstrap=bootstrap, local_key=local_key, bundles=bundles
    )
    click.echo(f"configuration  {made.config}")
    click.echo(f"for the exchange, SECRET  {made.sender}  (silenthit exchange enrol agency)")
    click.echo(f"for the partners, public  {made.signer}  (silenthit partner trust)")


@agency.command()
@click.argument("files", nargs=-1, type=_FILES)
@_CONFIG
@_MAPPING
@click.option("--reinstate", is_flag=True, help="Take retracted records again.")
@_WAIT
@_JSON
def publish(  # noqa: PLR0917 click passes options by name
    files: tuple[Path, ...],
    config: Path,
    mapping: Path | None,
    reinstate: bool,
    wait: float,
    as_json: bool,
) -> None:
    """Publish the records of FILES, and whatever still waits in the outbox.

    Exit code 2 when a record was not taken (the others are published), 4 when the broker is away
    (the records are kept; run it again).

    Example: silenthit agency publish records.csv --mapping rms.toml --config agency/agency.toml
    """
    from producers import agency as wiring

    settings = wiring.load(config)
    outcomes = _outcomes(files, mapping, settings)
    with wiring.open_outbox(settings) as outbox:
        taken = wiring.intake(settings, outbox, reinstate=reinstate)
        with _progress("reading", None) as advance:
            tally = taken.take(outcomes, _tell, advance)
        with (
            wiring.open_dispatcher(settings, outbox, confirm_s=max(wait, 1)) as dispatcher,
            _progress("publishing", _waiting(outbox.counts())) as advance,
        ):
            sent = dispatcher.publish_patiently(wait, advance)
    _summarise(tally, sent, as_json=as_json)


@agency.command()
@click.argument("record_numbers", nargs=-1, required=True)
@_CONFIG
@_WAIT
@_JSON
def retract(record_numbers: tuple[str, ...], config: Path, wait: float, as_json: bool) -> None:
    """Take records back: expunged, sealed by a court, a juvenile's.

    The exchange forgets them; partners who were alerted are told to purge.

    Example: silenthit agency retract 2026-001234 --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.intake import Tally
    from producers.settings import read_secret
    from producers.touch import record_id

    settings = wiring.load(config)
    secret, tally = read_secret(settings.keys.records), Tally()
    with wiring.open_outbox(settings) as outbox:
        for place, number in enumerate(record_numbers, start=1):
            try:
                tally.withdrawn += outbox.retract(record_id(secret, number))
            except InputError as error:
                tally.rejected += 1
                click.echo(f"record number {place} of {len(record_numbers)}: {error}", err=True)
        with wiring.open_dispatcher(settings, outbox, confirm_s=max(wait, 1)) as dispatcher:
            sent = dispatcher.publish_patiently(wait)
    _summarise(tally, sent, as_json=as_json)


@agency.command("run")
@_CONFIG
def run_agent(config: Path) -> None:
    """Watch every source of the configuration and publish, until SIGTERM or Ctrl-C.

    Example: silenthit agency run --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.agent import run_until_told
    from silenthit.logs import configure_logs
    from silenthit.metrics import export, serve_metrics

    configure_logs()
    settings = wiring.load(config)
    if not settings.sources:
        raise SettingsError("expected at least one [[sources]] entry to run, got none; add one")
    with wiring.open_agent(settings) as agent:
        if settings.metrics_port is not None:
            export(agent.readings())
            serve_metrics(settings.metrics_port)
        run_until_told(agent)


@agency.command()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@_CONFIG
@_JSON
def waiting(limit: int, config: Path, as_json: bool) -> None:
    """List what the broker has not confirmed yet, oldest first, and what it will never take.

    Example: silenthit agency waiting --limit 20 --config agency/agency.toml
    """
    from producers import agency as wiring

    with wiring.open_outbox(wiring.load(config)) as outbox:
        rows = outbox.waiting_list(limit)
    if as_json:
        click.echo(json.dumps([asdict(each) for each in rows]))
        return
    for each in rows:
        what = "retraction" if each.retraction else "touch"
        click.echo(
            f"{each.record_id}  revision {each.revision:<4} {each.state:<9} {what:<10} {each.since}"
        )
    click.echo(f"{len(rows):,} shown" if rows else "nothing waits")


@agency.group()
def operation() -> None:
    """Planned operations: a raid or a warrant is matched before it happens.

    Example: silenthit agency operation add warrant.toml --config agency/agency.toml
    """


@operation.command("add")
@click.argument("file", type=_FILES)
@_CONFIG
@_WAIT
@_JSON
def add_operation(file: Path, config: Path, wait: float, as_json: bool) -> None:
    """Publish the operation in FILE (TOML: number, place, window, contact, subjects).

    Under the same number again it moves or changes the operation.

    Example: silenthit agency operation add warrant.toml --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.operations import Operation
    from silenthit.settings import load_toml

    settings = wiring.load(config)
    record = load_toml(file, Operation, {}).record()
    with wiring.open_outbox(settings) as outbox:
        tally = wiring.intake(settings, outbox, reinstate=True).take([record], _tell)
        with wiring.open_dispatcher(settings, outbox, confirm_s=max(wait, 1)) as dispatcher:
            sent = dispatcher.publish_patiently(wait)
    _summarise(tally, sent, as_json=as_json)


@operation.command("cancel")
@click.argument("numbers", nargs=-1, required=True)
@_CONFIG
@_WAIT
@_JSON
@click.pass_context
def cancel_operation(
    context: click.Context, numbers: tuple[str, ...], config: Path, wait: float, as_json: bool
) -> None:
    """Take operations back that will not happen, or are over.

    Example: silenthit agency operation cancel OP-26-014 --config agency/agency.toml
    """
    context.invoke(retract, record_numbers=numbers, config=config, wait=wait, as_json=as_json)


@agency.command("map")
@click.argument("file", type=_FILES)
def propose_mapping(file: Path) -> None:
    """Propose a mapping for a CSV from its columns and values; print it, to be corrected.

    Example: silenthit agency map records.csv > rms.toml
    """
    from producers.sources.propose import propose

    click.echo(propose(file), nl=False)


@agency.command()
@_CONFIG
@_JSON
def check(config: Path, as_json: bool) -> None:
    """Try keys, outbox, key holder, broker and every source, and say plainly what works.

    Exit code 3 when something does not. Publishes nothing.

    Example: silenthit agency check --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.check import verdicts

    found = list(verdicts(wiring.load(config)))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found]))
    for each in () if as_json else found:
        mark = click.style("works", fg="green") if each.works else click.style("FAILS", fg="red")
        click.echo(f"{mark}  {each.what:<20} {each.text}")
    if not all(each.works for each in found):
        raise Exit(SettingsError.exit_code)


@agency.command()
@_CONFIG
@_JSON
def status(config: Path, as_json: bool) -> None:
    """Show how many records wait and are published, and how each source fares.

    Example: silenthit agency status --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.ledger import Ledger

    settings = wiring.load(config)
    with wiring.open_outbox(settings) as outbox:
        counts, oldest = outbox.counts(), outbox.oldest_waiting()
        with closing(Ledger(settings.outbox)) as ledger:
            sources = ledger.states()
    if as_json:
        since = oldest.isoformat() if oldest else None
        found = [asdict(each) for each in sources]
        click.echo(json.dumps({"records": counts, "oldest_waiting": since, "sources": found}))
        return
    for state, count in counts.items():
        click.echo(f"{state:<10} {count:>10,}")
    click.echo(f"oldest waiting since {oldest:%Y-%m-%d %H:%M} UTC" if oldest else "nothing waits")
    for each in sources:
        click.echo(
            f"{each.name:<20} {each.accepted:>8,} taken {each.rejected:>6,} not, "
            f"last {each.polled_at or 'never'}  {each.error}"
        )


@agency.command()
@click.argument("record_number")
@click.argument("files", nargs=-1, type=_FILES)
@_CONFIG
@_MAPPING
@_JSON
def explain(
    record_number: str,
    files: tuple[Path, ...],
    config: Path,
    mapping: Path | None,
    as_json: bool,
) -> None:
    """Show what becomes of a record: subjects, match keys, and what the exchange will see.

    The record is read from FILES, or from the outbox while it waits there. Nothing is published.

    Example: silenthit agency explain 2026-001234 records.csv --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.explain import explained
    from producers.explain_view import show

    settings = wiring.load(config)
    with wiring.open_outbox(settings) as outbox:
        taken = wiring.intake(settings, outbox)
        entry = taken.entry(record_number, _outcomes(files, mapping, settings))
    with wiring.open_sealer(settings) as sealer:
        view = explained(entry, sealer)
    if as_json:
        click.echo(json.dumps(view))
    else:
        show(view)


def _outcomes(
    files: tuple[Path, ...], mapping: Path | None, settings: AgencySettings
) -> Iterator[Outcome]:
    from producers.sources.files import read
    from producers.sources.mapping import ColumnMapping
    from silenthit.settings import load_toml

    columns = load_toml(mapping, ColumnMapping) if mapping else ColumnMapping()
    return (each for path in files for each in read(path, columns, settings.zone))


def _tell(rejection: Rejection) -> None:
    click.echo(f"not taken: {rejection}", err=True)


def _waiting(counts: dict[str, int]) -> int:
    return counts["accepted"] + counts["sealed"]


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
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


def _summarise(tally: Tally, sent: Published, *, as_json: bool) -> None:
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
