"""Commands that look and change nothing: status, waiting, explain, check, map."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import rich_click as click
from click.exceptions import Exit

from producers.command_line import CONFIG, FILES, JSON, MAPPING, outcomes_of
from silenthit.errors import SettingsError


@click.command()
@CONFIG
@JSON
def status(config: Path, as_json: bool) -> None:
    """Show what waits and is published, each source with its last error, and the last canary.

    Example: silenthit agency status --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.canary import canary_id
    from producers.ledger import Ledger
    from producers.settings import read_secret

    settings = wiring.load(config)
    with wiring.open_outbox(settings) as outbox:
        counts, oldest = outbox.counts(), outbox.oldest_waiting()
        history = outbox.history_waiting()
        canary = outbox.confirmed_at(canary_id(read_secret(settings.keys.records)))
        with closing(Ledger(settings.outbox)) as ledger:
            sources = ledger.states()
    if as_json:
        since = oldest.isoformat() if oldest else None
        found = [asdict(each) for each in sources]
        view = {
            "records": counts,
            "history_waiting": history,
            "oldest_waiting": since,
            "canary_confirmed": canary.isoformat() if canary else None,
            "sources": found,
        }
        click.echo(json.dumps(view))
        return
    for state, count in counts.items():
        click.echo(f"{state:<10} {count:>10,}")
    click.echo(f"oldest waiting since {oldest:%Y-%m-%d %H:%M} UTC" if oldest else "nothing waits")
    if history:
        click.echo(f"{history:,} of them history, which goes behind live records")
    said = f"{canary:%Y-%m-%d %H:%M} UTC" if canary else "never"
    click.echo(f"last canary that the broker confirmed: {said}")
    for each in sources:
        click.echo(
            f"{each.name:<20} {each.accepted:>8,} taken {each.rejected:>6,} not, "
            f"last {each.polled_at or 'never'}"
        )
        if each.last_error:
            still = "failing" if each.error else "over"
            click.echo(f"    last error, {still}: {each.last_error_at}  {each.last_error}")


@click.command()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@CONFIG
@JSON
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
        lane = "  history" if each.history else ""
        click.echo(
            f"{each.record_id}  revision {each.revision:<4} {each.state:<9} {what:<10} "
            f"{each.since}{lane}"
        )
    click.echo(f"{len(rows):,} shown" if rows else "nothing waits")


@click.command()
@CONFIG
@JSON
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


@click.command()
@click.argument("record_number")
@click.argument("files", nargs=-1, type=FILES)
@CONFIG
@MAPPING
@JSON
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
        entry = taken.entry(record_number, outcomes_of(files, mapping, settings))
    with wiring.open_sealer(settings) as sealer:
        view = explained(entry, sealer)
    if as_json:
        click.echo(json.dumps(view))
    else:
        show(view)


@click.command("map")
@click.argument("file", type=FILES)
def propose_mapping(file: Path) -> None:
    """Propose a mapping for a CSV or a workbook from what it holds; print it, to be corrected.

    Example: silenthit agency map records.csv > rms.toml
    """
    from producers.sources.propose import propose

    click.echo(propose(file), nl=False)


INSPECT_COMMANDS = (status, waiting, check, explain, propose_mapping)
