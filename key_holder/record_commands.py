"""The commands `silenthit keyholder log` and `silenthit keyholder backup`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import rich_click as click

from key_holder import backup, log
from key_holder.custody import FileCustody
from key_holder.database import open_book, transaction
from key_holder.settings import load_config
from silenthit.errors import InputError

_FILE = click.Path(path_type=Path, dir_okay=False)
_config = click.option("--config", type=_FILE, required=True, help="keyholder.toml")
_shares = click.option(
    "--share", "shares", type=_FILE, multiple=True, required=True, help="Twice: the two shares."
)


@click.group("log")
def log_group() -> None:
    """Read and verify the log of who asked for how much.

    Example: silenthit keyholder log verify --config holder/keyholder.toml
    """


@log_group.command()
@_config
@click.option("--noted", help="A head noted earlier, NUMBER:HASH, that the log must still hold.")
def verify(config: Path, noted: str | None) -> None:
    """Check that no entry was changed, added or taken out.

    Example: silenthit keyholder log verify --config holder/keyholder.toml --noted 812:5f3c…
    """
    earlier = None
    if noted is not None:
        number, _, digest = noted.partition(":")
        if not number.isdigit() or not digest:
            raise InputError(
                "expected --noted NUMBER:HASH as `log head` prints it, got another form"
            )
        earlier = log.Head(number=int(number), hash=digest)
    end = log.verify(open_book(load_config(config).database), noted=earlier)
    click.echo(f"{end.number} entries, unbroken; head {end.number}:{end.hash}")


@log_group.command()
@_config
def head(config: Path) -> None:
    """Print the end of the log; note it where the key holder can't write.

    Example: silenthit keyholder log head --config holder/keyholder.toml
    """
    end = log.head(open_book(load_config(config).database))
    click.echo(f"{end.number}:{end.hash}")


@log_group.command()
@_config
@click.option("--last", type=click.IntRange(1), default=50, show_default=True)
def show(config: Path, last: int) -> None:
    """Print the last entries, one JSON object a line.

    Example: silenthit keyholder log show --last 10 --config holder/keyholder.toml
    """
    book = open_book(load_config(config).database)
    found = book.execute(
        "SELECT number, entry FROM log ORDER BY number DESC LIMIT ?", (last,)
    ).fetchall()
    for number, entry in reversed(found):
        click.echo(json.dumps({"number": number, **json.loads(entry)}))


@click.group("backup")
def backup_group() -> None:
    """Back up an epoch's secrets for two custodians, restore and destroy backups.

    Example: silenthit keyholder backup make 1 --to b.bin --share a.json --share b.json --config …
    """


def _two(shares: tuple[Path, ...]) -> tuple[Path, Path]:
    try:
        first, second = shares
    except ValueError:
        raise InputError(f"expected --share twice, got it {len(shares)} times") from None
    return first, second


@backup_group.command()
@click.argument("epoch", type=click.IntRange(1))
@_config
@click.option("--to", type=_FILE, required=True, help="The sealed backup, a new file.")
@_shares
def make(epoch: int, config: Path, to: Path, shares: tuple[Path, ...]) -> None:
    """Back up EPOCH's secrets; give each share to another custodian, the file to a third place.

    Example: silenthit keyholder backup make 1 --to 1.bin --share a --share b --config key.toml
    """
    settings = load_config(config)
    held, book = FileCustody(settings.secrets).read(epoch), open_book(settings.database)
    with transaction(book):
        digest = backup.make(book, held, to, _two(shares), time.time())
    click.echo(f"backup {digest} of epoch {epoch}")


@backup_group.command()
@click.argument("file", type=_FILE)
@_config
@_shares
def restore(file: Path, config: Path, shares: tuple[Path, ...]) -> None:
    """Bring an epoch's secrets back into custody, with both shares.

    Example: silenthit keyholder backup restore 1.bin --share a --share b --config keyholder.toml
    """
    settings = load_config(config)
    secrets, book = backup.restore(file, _two(shares)), open_book(settings.database)
    with transaction(book):
        log.append(book, time.time(), "restored", epoch=secrets.epoch)
        FileCustody(settings.secrets).keep(secrets)
    click.echo(f"epoch {secrets.epoch} is in custody again")


@backup_group.command()
@click.argument("file", type=_FILE)
@_config
def destroy(file: Path, config: Path) -> None:
    """Erase a share or a backup, and put the backup on record as destroyed.

    Example: silenthit keyholder backup destroy a.json --config holder/keyholder.toml
    """
    book = open_book(load_config(config).database)
    with transaction(book):
        digest = backup.destroy(book, file, time.time())
    click.echo(f"backup {digest} can't be opened any more")
