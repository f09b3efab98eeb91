"""Commands on the state of the exchange: status, and the pointer index."""

# Heavy imports wait until their command runs; click passes switches as positional booleans.
# ruff: noqa: PLC0415, FBT001

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from stream_processors.settings import ExchangeSettings

_CONFIG = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default="exchange.toml",
    show_default=True,
    help="The exchange's configuration.",
)


def _with_redis(config: Path, work: Callable[[ExchangeSettings, Any], Awaitable[Any]]) -> Any:
    from silenthit.errors import SettingsError
    from silenthit.settings import load_toml
    from stream_processors.pointers import open_redis
    from stream_processors.settings import EMBEDDED_REDIS, ExchangeSettings

    settings = load_toml(config, ExchangeSettings)
    if settings.redis == EMBEDDED_REDIS:
        raise SettingsError(
            'expected a Redis server, got `redis = "embedded"`, which is inside the worker; set '
            "`redis` to a redis:// address"
        )

    async def run() -> Any:
        redis = open_redis(settings.redis)
        try:
            return await work(settings, redis)
        finally:
            await redis.aclose()

    return asyncio.run(run())


@click.command()
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(config: Path, as_json: bool) -> None:
    """Show workers, lag, index, throughput and quarantine; nothing of a watch or a record.

    Example: silenthit exchange status --config exchange.toml
    """
    from rich.console import Console
    from rich.table import Table

    from stream_processors.status import status as found

    said = _with_redis(config, found)
    if as_json:
        click.echo(json.dumps(said))
        return
    console = Console()
    for title in ("workers", "partitions"):
        rows = said[title]
        table = Table(title=title, title_justify="left")
        for column in rows[0] if rows else ("none",):
            table.add_column(column)
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        console.print(table)
    console.print(f"lag {said['lag']}, {said['touches_per_s']} touches/s")
    counts = said["quarantine"]
    console.print("quarantine: " + (", ".join(f"{k} {v}" for k, v in counts.items()) or "empty"))


@click.command("rebuild-pointers")
@_CONFIG
def rebuild_pointers(config: Path) -> None:
    """Build the pointer index anew from the touches in Kafka; workers wait meanwhile.

    Example: silenthit exchange rebuild-pointers --config exchange.toml
    """
    from rich.progress import Progress

    from stream_processors.rebuild import rebuild

    with Progress(transient=True) as progress:
        task = progress.add_task("touches", total=None)
        count = _with_redis(
            config,
            lambda settings, redis: rebuild(
                settings, redis, lambda read: progress.advance(task, read)
            ),
        )
    click.echo(f"pointers rebuilt from {count} touches")


@click.group(invoke_without_command=True)
@click.option(
    "--config",
    # Not checked here: `retry` brings its own.
    type=click.Path(dir_okay=False, path_type=Path),
    default="exchange.toml",
    show_default=True,
    help="The exchange's configuration.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def quarantine(context: click.Context, config: Path, as_json: bool) -> None:
    """List what was set aside: where it lies and why, never what it says.

    Example: silenthit exchange quarantine --config exchange.toml --json
    """
    if context.invoked_subcommand:
        return
    from silenthit.settings import load_toml
    from stream_processors.retry import listed
    from stream_processors.settings import ExchangeSettings

    for each in listed(load_toml(config, ExchangeSettings).bus.partner):
        said = each.model_dump()
        line = "{topic}/{partition}/{offset}  {reason}  {worker}".format_map(said)
        click.echo(json.dumps(said) if as_json else line)


@quarantine.command()
@_CONFIG
@click.option("--reason", help="Only what was set aside for this reason.")
def retry(config: Path, reason: str | None) -> None:
    """Have touches taken again whose cause is gone; what is refused again stays set aside.

    Example: silenthit exchange quarantine retry --reason forged_sender --config exchange.toml
    """
    from schemas.topics import TOUCHES
    from stream_processors.retry import ask, listed

    async def work(settings: ExchangeSettings, redis: Any) -> int:
        places = [
            (each.partition, each.offset)
            for each in listed(settings.bus.partner)
            if each.topic == TOUCHES.name and reason in {None, each.reason}
        ]
        await ask(redis, places)
        return len(places)

    click.echo(f"{_with_redis(config, work)} touches will be taken again")


INDEX_COMMANDS = (status, rebuild_pointers, quarantine)
