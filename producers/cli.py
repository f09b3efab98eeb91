"""`silenthit agency`: turn an agency's own records into touches and publish them.

$ silenthit agency publish records.csv --mapping rms.toml --config agency/agency.toml
"""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from producers.command_line import CONFIG, FILES
from producers.inspect_commands import INSPECT_COMMANDS
from producers.look_up_commands import LOOK_UP_COMMANDS
from producers.operation_commands import operation
from producers.publish_commands import publish, retract
from producers.tip_commands import tips
from silenthit.errors import SettingsError


@click.group()
def agency() -> None:
    """Turn an agency's own records into touches and publish them.

    Example: silenthit agency publish incident.xml --config agency/agency.toml
    """


@agency.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--ori", required=True, help="The agency's ORI, such as VT0040100.")
@click.option("--name", required=True, help="The agency's name, as partners will read it.")
@click.option("--bootstrap", default="", help="HOST:PORT of an agency bus that asks no proof.")
@click.option("--bus", type=FILES, help="The exchange's hand-over file, instead of --bootstrap.")
@click.option("--local-key", type=FILES, help="Epoch secrets of a development key holder.")
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
    bus: Path | None,
    local_key: Path | None,
    bundles: tuple[Path, ...],
) -> None:
    """Set up an agency: its keys, its configuration, and two files to hand over.

    Example: silenthit agency init pd --ori VT0040100 --name "Burlington PD"
    --bootstrap localhost:9092 --local-key epoch1.json
    """
    from producers.enrolment import create

    made = create(
        folder,
        ori=ori,
        name=name,
        bootstrap=bootstrap,
        bus=bus,
        local_key=local_key,
        bundles=bundles,
    )
    click.echo(f"configuration  {made.config}")
    if made.sender.exists():
        click.echo(f"for the exchange, SECRET  {made.sender}  (silenthit exchange enrol agency)")
    click.echo(f"for the partners, public  {made.signer}  (silenthit partner trust)")


@agency.command("sender-key")
@click.argument("file", type=FILES)
@CONFIG
def sender_key(file: Path, config: Path) -> None:
    """Take the next sender key, from the FILE that the exchange handed over.

    Example: silenthit agency sender-key sender.vt0040100.json --config agency/agency.toml
    """
    from producers import agency as wiring
    from producers.enrolment import take_sender_key

    key_id = take_sender_key(wiring.load(config), file)
    click.echo(f"messages are signed as {key_id} from the agent's next start; delete {file}")


@agency.command("run")
@CONFIG
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
    if not settings.sources and settings.intake is None:
        raise SettingsError("expected a [[sources]] entry or [intake] to run, got none; add one")
    with wiring.open_agent(settings) as agent:
        if settings.metrics_port is not None:
            export(agent.readings())
            serve_metrics(settings.metrics_port)
        run_until_told(agent)


for each in (publish, retract, operation, tips, *LOOK_UP_COMMANDS, *INSPECT_COMMANDS):
    agency.add_command(each)
