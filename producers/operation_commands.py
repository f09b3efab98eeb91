"""`silenthit agency operation`: planned operations, matched before they happen."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from producers.command_line import CONFIG, FILES, JSON, WAIT, summarise, tell
from producers.conflict_commands import conflicts
from producers.publish_commands import retract


@click.group()
def operation() -> None:
    """Planned operations: a raid or a warrant is matched before it happens.

    Example: silenthit agency operation add warrant.toml --config agency/agency.toml
    """


@operation.command("add")
@click.argument("file", type=FILES)
@CONFIG
@WAIT
@JSON
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
        wiring.check_operation(settings, outbox, record)
        tally = wiring.intake(settings, outbox, reinstate=True).take([record], tell)
        with wiring.open_dispatcher(settings, outbox, confirm_s=max(wait, 1)) as dispatcher:
            sent = dispatcher.publish_patiently(wait)
    summarise(tally, sent, as_json=as_json)


@operation.command("cancel")
@click.argument("numbers", nargs=-1, required=True)
@CONFIG
@WAIT
@JSON
@click.pass_context
def cancel_operation(
    context: click.Context, numbers: tuple[str, ...], config: Path, wait: float, as_json: bool
) -> None:
    """Take operations back that will not happen, or are over.

    Example: silenthit agency operation cancel OP-26-014 --config agency/agency.toml
    """
    context.invoke(retract, record_numbers=numbers, config=config, wait=wait, as_json=as_json)


operation.add_command(conflicts)
