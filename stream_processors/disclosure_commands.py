"""Commands on the disclosure record, for the auditor: `silenthit exchange disclosures …`."""

# Heavy imports wait until their command runs; click passes switches as positional booleans.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from silenthit.bus.clients import Message

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_CONFIG = click.option("--config", type=_FILE, help="The exchange's configuration.")
_SEALED = {"boxes", "commitment"}
_BUS = click.option("--bus", type=_FILE, help="The auditor's hand-over file (exchange onboard).")


@click.group()
def disclosures() -> None:
    """Check and list the record of who was told what.

    Example: silenthit exchange disclosures verify --bus auditor.toml
    """


@disclosures.command()
@_CONFIG
@_BUS
@click.option("--heads", type=_FILE, help="Heads noted before: all of them must still be there.")
@click.option("--note", type=click.Path(dir_okay=False, path_type=Path), help="Note heads here.")
def verify(config: Path | None, bus: Path | None, heads: Path | None, note: Path | None) -> None:
    """Read every chain from its start; exit with 1 and name chain and number where one is wrong.

    A cut-off end shows against heads noted before, and at the process's next start.

    Example: silenthit exchange disclosures verify --bus auditor.toml --heads heads.json
    --note heads.json
    """
    from stream_processors.disclosures_verify import Verifier, load_heads, save_heads

    verifier = Verifier(load_heads(heads) if heads else ())
    for messages in _read(config, bus):
        verifier.take(messages)
    for chain, seen in verifier.chains.items():
        click.echo(
            f"{chain.hex()}  {seen.process}  {len(seen.hashes)} links, {seen.entries} disclosures, "
            f"{seen.repeated} repeated, last link: {seen.last}"
        )
    faults = verifier.faults()
    for fault in faults:
        click.echo(f"FAULT  chain {fault.chain}  number {fault.number}: {fault.what}", err=True)
    if faults:
        sys.exit(1)
    if note:
        save_heads(note, verifier.heads())


@disclosures.command("list")
@_CONFIG
@_BUS
def list_command(config: Path | None, bus: Path | None) -> None:
    """Print each disclosure as one JSON object a line; the boxes stay sealed.

    A partner that consents opens its own of these lines with `silenthit partner disclose`.

    Example: silenthit exchange disclosures list --bus auditor.toml > disclosures.jsonl
    """
    from stream_processors.disclosure_opening import listed

    for messages in _read(config, bus):
        for each in listed(messages):
            click.echo(json.dumps(each.shown()))


@disclosures.command()
@click.argument("opened", type=_FILE)
@_CONFIG
@_BUS
def check(opened: Path, config: Path | None, bus: Path | None) -> None:
    """Hold what a partner disclosed in OPENED to the record; print each line that is proven.

    Ends with 1 where a line is not what the exchange committed to, or is nowhere in the record.

    Example: silenthit exchange disclosures check fbi.jsonl --bus auditor.toml
    """
    from stream_processors.disclosure_opening import disclosed, listed

    said = disclosed(opened.read_text("utf-8"))
    for messages in _read(config, bus):
        for each in listed(messages):
            told = said.get(each.place)
            if told is not None and each.commitment == told.commitment():
                del said[each.place]
                shown = {k: v for k, v in each.shown().items() if k not in _SEALED}
                click.echo(json.dumps(shown | {"told": dict(told.content)}))
    for chain, number, index in said:
        click.echo(f"FAULT  chain {chain}  number {number}, {index}: not in the record", err=True)
    if said:
        sys.exit(1)


@disclosures.command("open")
@click.argument("key", type=_FILE)
@_CONFIG
@_BUS
def open_command(key: Path, config: Path | None, bus: Path | None) -> None:
    """Open what was sealed to a court with KEY, its private key; print one JSON object a line.

    Run it where the court says. Whoever holds this key reads who watches whom.

    Example: silenthit exchange disclosures open court.key --bus auditor.toml
    """
    from silenthit.blinding.disclosure_key import load_private
    from stream_processors.disclosure_opening import listed, opened_by_court

    private = load_private(key)
    for messages in _read(config, bus):
        for each in listed(messages):
            shown = opened_by_court(each, private)
            if shown is not None:
                click.echo(json.dumps(shown))


@disclosures.command("court-key")
@click.argument("key", type=click.Path(dir_okay=False, path_type=Path))
def court_key(key: Path) -> None:
    """Make a court's key pair: the private one in KEY, the public one on the screen.

    Make it where the court keeps it, not at the exchange, which is told the public one alone: as
    `court` of [disclosures] in exchange.toml. What was sealed before stays closed to it.

    Example: silenthit exchange disclosures court-key court.key
    """
    from silenthit.blinding.disclosure_key import make_private

    click.echo(f'court = "{make_private(key)}"')


def _read(config: Path | None, bus: Path | None) -> Iterator[list[Message]]:
    from schemas.topics import ANSWER_DISCLOSURES, DISCLOSURES, Bus, Role
    from silenthit.bus.clients import TopicReader
    from silenthit.bus.handover import HandOver
    from silenthit.errors import InputError
    from silenthit.settings import load_toml
    from stream_processors.settings import ExchangeSettings

    if bool(config) == bool(bus):
        raise InputError("expected either --bus or --config, to reach the brokers")
    if bus:
        settings = HandOver.load(bus, Role.AUDITOR).bus[Bus.PARTNER]
    else:
        settings = load_toml(config or Path(), ExchangeSettings).bus.partner
    topics = [DISCLOSURES.name, ANSWER_DISCLOSURES.name]
    with TopicReader(settings, topics, client_id="silenthit-auditor") as reader:
        yield from reader.read_to_end()
