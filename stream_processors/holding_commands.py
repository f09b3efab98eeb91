"""The command on how much each partner watches: `silenthit exchange holdings`."""

# Heavy imports wait until their command runs.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--config", type=_FILE, default="exchange.toml", show_default=True)
@click.option("--bus", type=_FILE, help="A worker's hand-over file: it may read watches.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def holdings(config: Path, bus: Path | None, as_json: bool) -> None:  # noqa: FBT001 click
    """Count each partner's watches and tokens; name those beyond a bound. For the auditor.

    Numbers alone: no watch, token or name is in it. Needs the watch keys, so the operator runs it
    beside a worker and hands the auditor what it prints. Ends with 1 if a partner is beyond a
    bound of `[watch_bounds]`: run it from a timer.

    Example: silenthit exchange holdings --bus worker-1.toml --json > holdings.jsonl
    """
    from dataclasses import asdict

    from silenthit.settings import load_toml
    from stream_processors import watch_holdings
    from stream_processors.settings import ExchangeSettings

    settings = load_toml(config, ExchangeSettings).reached_by(bus)
    suspects = 0
    for each in watch_holdings.holdings(settings):
        beyond = each.beyond(settings.watch_bounds)
        suspects += bool(beyond)
        if as_json:
            click.echo(json.dumps({**asdict(each), "beyond": beyond}))
            continue
        click.echo(
            f"{each.partner}: {each.watches:,} watches, {each.tokens:,} tokens "
            f"({each.strong:,} strong); at most {each.most_in_a_watch:,} in one watch, "
            f"{each.most_of_a_kind:,} of one kind; last 24 hours "
            f"{each.watches_of_a_day:,} watches, {each.tokens_of_a_day:,} tokens"
            + (f"; {each.unreadable:,} not readable here" if each.unreadable else "")
            + (f"; FISHING? beyond {', '.join(beyond)}" if beyond else "")
        )
    if suspects:
        raise SystemExit(1)
