"""Commands of the exchange: `silenthit exchange …`."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from stream_processors.brokers.commands import ONBOARDING_COMMANDS
from stream_processors.disclosure_commands import disclosures
from stream_processors.holding_commands import holdings
from stream_processors.index_commands import INDEX_COMMANDS
from stream_processors.watch_key_commands import watch_key

if TYPE_CHECKING:
    from stream_processors.settings import ExchangeSettings

CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default="exchange.toml",
    show_default=True,
    help="The exchange's configuration.",
)

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
BUS = click.option("--bus", type=FILE, help="The process's own hand-over file (exchange onboard).")


@click.group()
def exchange() -> None:
    """Run the blind exchange: workers, topics, who is enrolled.

    Example: silenthit exchange work --config exchange.toml
    """


def _load(config: Path) -> ExchangeSettings:
    from silenthit.settings import load_toml
    from stream_processors.settings import ExchangeSettings

    return load_toml(config, ExchangeSettings)


@exchange.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--bootstrap", help="Agency bus, host:port, of brokers that ask nobody who it is.")
@click.option("--partner-bootstrap", help="Partner bus, host:port.  [default: the agency bus]")
@click.option("--bus", type=FILE, help="The operator's hand-over file, instead of --bootstrap.")
@click.option(
    "--redis",
    default="embedded",
    show_default=True,
    help="redis:// URL, embedded, or env:VARIABLE for a URL with a password.",
)
def init(
    directory: Path,
    bootstrap: str | None,
    partner_bootstrap: str | None,
    bus: Path | None,
    redis: str,
) -> None:
    """Write the configuration of a new exchange into DIRECTORY.

    Example: silenthit exchange init exchange --bootstrap kafka:9092
    """
    from schemas.topics import Bus, Role
    from silenthit.arguments import from_argument
    from silenthit.blinding.deconfliction_key import make_private_key
    from silenthit.bus.handover import HandOver, bus_toml
    from silenthit.bus.settings import KafkaSettings
    from silenthit.certificates import write_private
    from silenthit.errors import InputError
    from stream_processors.watch_keys import make_watch_key

    if bool(bootstrap) == bool(bus):
        raise InputError("expected either --bootstrap or --bus, to reach the brokers")
    config = directory / "exchange.toml"
    if config.exists():
        raise InputError(
            f"expected no configuration yet in {directory}; remove {config} to start anew"
        )
    store = from_argument(redis, "--redis")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if bus:
        tables = HandOver.load(bus, Role.OPERATOR).install(directory)
        authority = bus.resolve().parent
    else:
        servers = {Bus.AGENCY: bootstrap, Bus.PARTNER: partner_bootstrap or bootstrap}
        reached = {
            each: KafkaSettings(bootstrap_servers=server or "") for each, server in servers.items()
        }
        tables, authority = bus_toml(reached), None
    make_private_key(directory / "keys" / "deconfliction.key")
    make_watch_key(directory / "keys" / "watches")
    text = (
        f'name = "exchange"\nredis = {json.dumps(store)}\n'
        f'organisations = "organisations.json"\ndata = "data"\n'
        + (f"authority = {json.dumps(str(authority))}\n" if authority else "")
        + f'\n{tables}\n[epochs]\n1 = "current"\n'
    )
    write_private(config, text.encode())  # a broker's or a store's password may stand in it
    click.echo(f"wrote {config}")


@exchange.group()
def enrol() -> None:
    """Enrol an organisation.

    Example: silenthit exchange enrol partner fbi-boston
    """


@enrol.command()
@click.argument("sender", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@CONFIG
def agency(sender: Path, config: Path) -> None:
    """Enrol the agency that handed over SENDER, its sender.json.

    Example: silenthit exchange enrol agency sender.json --config exchange.toml
    """
    from schemas.topics import Bus, Role
    from silenthit.bus.admin import create_topics
    from silenthit.bus.rights import Principal, own_topics
    from stream_processors.settings import Organisations

    settings = _load(config)
    known = Organisations.load(settings.organisations).with_agency(sender)
    ori = known.agencies[-1].key_id.partition("#")[0]
    topics = own_topics(Principal(Role.AGENCY, ori.lower()), Bus.AGENCY)
    create_topics(settings.bus.agency, topics)
    known.save(settings.organisations)
    click.echo("agency enrolled; delete the handed-over file")


@enrol.command()
@click.argument("name")
@click.option("--disclosure-key", type=FILE, help="What the partner handed over for its record.")
@CONFIG
def partner(name: str, disclosure_key: Path | None, config: Path) -> None:
    """Enrol a partner by NAME and create its topics; again, to take its disclosure key.

    Example: silenthit exchange enrol partner fbi-boston --disclosure-key fbi-boston.json
    """
    from schemas.topics import Bus, Role
    from silenthit.blinding.disclosure_key import DisclosureKey
    from silenthit.bus.admin import create_topics
    from silenthit.bus.rights import Principal, own_topics
    from silenthit.errors import InputError
    from stream_processors.settings import Organisations

    settings = _load(config)
    key = DisclosureKey.load(disclosure_key) if disclosure_key else None
    if key and key.partner != name:
        raise InputError(f"expected the disclosure key of {name}, got {key.partner}'s")
    topics = own_topics(Principal(Role.PARTNER, name), Bus.PARTNER)
    create_topics(settings.bus.partner, topics)
    known = Organisations.load(settings.organisations).with_partner(name)
    known = known.with_disclosure_key(key) if key else known
    known.save(settings.organisations)
    click.echo(f"partner {name} enrolled")


@exchange.command()
@CONFIG
def topics(config: Path) -> None:
    """Create the exchange's own topics.

    Example: silenthit exchange topics --config exchange.toml
    """
    from schemas.topics import TOPICS, Bus
    from silenthit.bus.admin import create_topics

    settings = _load(config)
    for bus, servers in ((Bus.AGENCY, settings.bus.agency), (Bus.PARTNER, settings.bus.partner)):
        shared = [(t, t.name) for t in TOPICS if t.bus is bus and "{org}" not in t.name]
        create_topics(servers, shared)
    click.echo("topics ready")


@exchange.command()
@CONFIG
@BUS
@click.option("--name", help="The worker's name.  [default: host and process number]")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Made once every watch is loaded and the partitions are taken over.",
)
def work(config: Path, bus: Path | None, name: str | None, ready_file: Path | None) -> None:
    """Run one matching worker, until it is told to stop.

    Example: silenthit exchange work --config exchange.toml
    """
    import mode.loop

    mode.loop.use("uvloop")
    import faust

    from silenthit.logs import configure_logs
    from stream_processors.app import make_app
    from stream_processors.settings import check_redis

    settings = _load(config).reached_by(bus)
    configure_logs()
    check_redis(settings)
    settings.data.mkdir(parents=True, exist_ok=True)
    worker_name = name or f"{socket.gethostname()}-{os.getpid()}"
    app = make_app(settings, name=worker_name, ready_file=ready_file)
    faust.Worker(
        app, loglevel="WARNING", quiet=True, redirect_stdouts=False, override_logging=False
    ).execute_from_commandline()


@exchange.command()
@CONFIG
@BUS
@click.option("--name", help="The worker's name.  [default: host and process number]")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Made once every publication is known and inquiries are read.",
)
def answer(config: Path, bus: Path | None, name: str | None, ready_file: Path | None) -> None:
    """Answer look-ups, until it is told to stop; one such process, without a right to watches.

    Example: silenthit exchange answer --config exchange.toml
    """
    from silenthit.logs import configure_logs
    from stream_processors.answer_app import answer_until_told

    configure_logs()
    settings = _load(config).reached_by(bus)
    worker_name = name or f"{socket.gethostname()}-{os.getpid()}-answer"
    answer_until_told(settings, name=worker_name, ready_file=ready_file)


@exchange.command()
@CONFIG
@BUS
@click.option("--name", help="The process's name.  [default: host and process number]")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Made once every watch is known.",
)
def deconflict(config: Path, bus: Path | None, name: str | None, ready_file: Path | None) -> None:
    """Tell partners who watch the same of each other, where both agreed, until told to stop.

    One such process: a second one takes over. It alone has the key to what partners agree to.

    Example: silenthit exchange deconflict --config exchange.toml
    """
    from silenthit.logs import configure_logs
    from stream_processors.deconfliction_app import deconflict_until_told

    configure_logs()
    settings = _load(config).reached_by(bus)
    process_name = name or f"{socket.gethostname()}-{os.getpid()}"
    deconflict_until_told(settings, name=process_name, ready_file=ready_file)


@exchange.command()
@CONFIG
@BUS
@click.option("--name", help="The process's name.  [default: host and process number]")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Made once every operation is known.",
)
@click.option("--book", is_flag=True, help="Show what was told, and end.")
@click.option("--json", "as_json", is_flag=True, help="The book as one JSON object a line.")
def conflicts(  # noqa: PLR0917 click passes options by name
    config: Path,
    bus: Path | None,
    name: str | None,
    ready_file: Path | None,
    book: bool,
    as_json: bool,
) -> None:
    """Tell agencies whose planned operations are in each other's way, until told to stop.

    One such process, without a right to watches: a second one takes over. --book shows which two
    agencies were told when, and who probes; never where or of whom.

    Example: silenthit exchange conflicts --config exchange.toml
    """
    from silenthit.logs import configure_logs

    settings = _load(config).reached_by(bus)
    if book:
        _show_conflicts(settings.data, as_json=as_json)
        return
    from stream_processors.conflicts_app import tell_until_told

    configure_logs()
    process_name = name or f"{socket.gethostname()}-{os.getpid()}"
    tell_until_told(settings, name=process_name, ready_file=ready_file)


def _show_conflicts(data: Path, *, as_json: bool) -> None:
    from stream_processors.conflict_book import BOOK
    from stream_processors.deconfliction_book import lines

    for each in lines(data, BOOK):
        which = each.get("conflict", "")[:8]
        text = f"{each['day']}  {each['what']}  {which}  {' and '.join(each['agencies'])}"
        probes = each.get("probes", 0)
        text += f"  ({probes} times)" if probes > 1 else ""
        click.echo(json.dumps(each) if as_json else text)


@exchange.command("deconflict-key")
@CONFIG
@click.option("--new", is_flag=True, help="Make the exchange's own key first; it has none yet.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write them to a file instead."
)
def deconflict_key(config: Path, new: bool, out: Path | None) -> None:
    """Print the public keys that partners seal to, for each of them, in a file.

    One is for their willingness to be known to others, one for their watches (see watch-key).

    Example: silenthit exchange deconflict-key --out exchange-keys.json
    """
    from silenthit.blinding.deconfliction_key import load_private_key, make_private_key

    settings = _load(config)
    if new:
        make_private_key(settings.deconfliction_key)
    load_private_key(settings.deconfliction_key)
    found = settings.public_deconfliction_key()
    text = found.model_dump_json() if found else ""
    if out is None:
        click.echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")


@exchange.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def deconflictions(config: Path, as_json: bool) -> None:
    """Show the book of deconfliction: which partners were told of each other, never of whom.

    Example: silenthit exchange deconflictions --config exchange.toml
    """
    from stream_processors.deconfliction_book import lines

    for each in lines(_load(config).data):
        who = " and ".join(each["partners"])
        text = f"{each['day']}  {each['what']}  {each['meeting'][:8]}  {who}"
        click.echo(json.dumps(each) if as_json else text)


@exchange.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def lookups(config: Path, as_json: bool) -> None:
    """Sum the book of look-ups: who asked how much, by day and stated purpose; never what.

    Example: silenthit exchange lookups --config exchange.toml
    """
    from stream_processors.answer_book import summed

    for each in summed(_load(config).data):
        line = "{day}  {organisation}  {purpose}  {status}  {look_ups} look-ups, {cards} cards"
        click.echo(json.dumps(each) if as_json else line.format_map(each))


@exchange.command()
@click.option(
    "--port-file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write host:port once it listens.",
)
def broker(port_file: Path) -> None:
    """Run the embedded broker of the demo: real protocol, nothing kept.

    Example: silenthit exchange broker --port-file broker.txt
    """
    from silenthit.bus.embedded import serve

    serve(port_file)


for each in (*INDEX_COMMANDS, *ONBOARDING_COMMANDS, watch_key, holdings, disclosures):
    exchange.add_command(each)
