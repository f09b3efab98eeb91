"""Commands on the keys that registrations are sealed to: `silenthit exchange watch-key …`."""

# Heavy imports wait until their command runs.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from stream_processors.settings import ExchangeSettings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_CONFIG = click.option(
    "--config",
    type=_FILE,
    default="exchange.toml",
    show_default=True,
    help="The exchange's configuration.",
)
_BUS = click.option("--bus", type=_FILE, help="A worker's hand-over file: it may read watches.")


@click.group("watch-key")
def watch_key() -> None:
    """Make, list and retire the keys that partners seal their watches to.

    Example: silenthit exchange watch-key list --config exchange.toml
    """


@watch_key.command()
@_CONFIG
def new(config: Path) -> None:
    """Make a new key; its public half is handed out from now on, the older keys stay good.

    Bring it to every matching worker and the deconflicting process (keys/watches) before any
    partner has the new file: what nobody can open waits.

    Example: silenthit exchange watch-key new --config exchange.toml
    """
    from stream_processors.watch_keys import make_watch_key

    made = make_watch_key(_load(config, None).watch_keys)
    click.echo(f"{made.id.hex()}  {made.path}, SECRET")
    click.echo("1. copy it to keys/watches of every matching worker and of `exchange deconflict`")
    click.echo("2. hand every partner what `silenthit exchange deconflict-key` prints now")
    click.echo("3. when `silenthit exchange watch-key list` shows no watch under an older key:")
    click.echo("   silenthit exchange watch-key retire ID")


@watch_key.command("list")
@_CONFIG
@_BUS
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_command(config: Path, bus: Path | None, as_json: bool) -> None:  # noqa: FBT001 click
    """List the keys, the newest last, and how many watches are sealed to each.

    Example: silenthit exchange watch-key list --config exchange.toml
    """
    from stream_processors.watch_keys import WatchKeys
    from stream_processors.watch_seal_counts import sealed_to

    settings = _load(config, bus)
    counts = sealed_to(settings)
    known = [key.hex() for key in WatchKeys(settings.watch_keys)]
    for key in (*known, *sorted(set(counts) - set(known))):
        by_partner = counts.get(key, {})
        state = "not here" if key not in known else "newest" if key == known[-1] else "older"
        state = state if key else "unsealed"
        if as_json:
            click.echo(json.dumps({"key": key, "state": state, "watches": by_partner}))
            continue
        said = ", ".join(f"{partner} {count}" for partner, count in sorted(by_partner.items()))
        click.echo(f"{key or '-':32}  {state:8}  {said or 'no watches'}")


@watch_key.command()
@click.argument("key_id", metavar="ID")
@_CONFIG
@_BUS
def retire(key_id: str, config: Path, bus: Path | None) -> None:
    """Delete the key ID, to which no watch is sealed any more; never the newest one.

    What older messages were sealed to it opens to nobody then, in no backup of the brokers either.

    Example: silenthit exchange watch-key retire 5b0c…
    """
    from silenthit.errors import InputError, RefusedError
    from stream_processors.watch_keys import WatchKeys
    from stream_processors.watch_seal_counts import sealed_to

    settings = _load(config, bus)
    keys = WatchKeys(settings.watch_keys)
    found = [key for key in keys if len(key_id) >= _FEWEST and key.hex().startswith(key_id)]
    file = keys.file(found[0]) if len(found) == 1 else None
    if file is None:
        raise InputError(
            "expected the id of one of the keys; see `silenthit exchange watch-key list`"
        )
    if keys.newest and file.id == keys.newest.id:
        raise RefusedError("expected an older key, got the newest; make another one first")
    if left := sealed_to(settings).get(file.id.hex()):
        raise RefusedError(
            f"expected a key to which no watch is sealed, got one of {', '.join(sorted(left))}; "
            "let them run `silenthit partner trust-exchange` with the newest file first"
        )
    file.path.unlink()
    click.echo(f"{file.id.hex()} is gone here; delete it on every other host and in every backup")


_FEWEST = 4  # characters of an id


def _load(config: Path, bus: Path | None) -> ExchangeSettings:
    from silenthit.settings import load_toml
    from stream_processors.settings import ExchangeSettings

    return load_toml(config, ExchangeSettings).reached_by(bus)
