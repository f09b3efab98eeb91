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

    Example: silenthit exchange disclosures list --bus auditor.toml
    """
    from schemas import codec
    from schemas.disclosures import Disclosure

    for messages in _read(config, bus):
        for message in messages:
            try:
                link = codec.decode(message.value or b"", Disclosure)
            except codec.WireError:
                continue  # `verify` says so
            place = {"chain": link.chain.hex(), "number": link.number, "at": link.at}
            for entry in link.entries:
                said = entry.model_dump(mode="python", exclude={"boxes", "kinds"})
                said |= {"id": entry.id.hex(), "records": entry.records.hex()}
                said |= {"kinds": list(entry.kinds), "boxes": [box.hex() for box in entry.boxes]}
                click.echo(json.dumps(place | said))


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
