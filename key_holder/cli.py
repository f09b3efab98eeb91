"""The `silenthit keyholder` commands."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def keyholder() -> None:
    """Hold the token secrets and evaluate blinded match keys.

    Begin with: silenthit keyholder init /etc/silenthit/keyholder --name federal --epoch 1
    """


@keyholder.command()
@click.argument("file", type=FILE)
@click.option("--epoch", type=click.IntRange(1, 2**32 - 1), required=True)
def generate(file: Path, epoch: int) -> None:
    """Write fresh secrets of one epoch to FILE, for use as a development `local_keys`.

    Example: silenthit keyholder generate keys/epoch-1.json --epoch 1
    """
    from silenthit.blinding.epoch_secrets import EpochSecrets

    EpochSecrets.generate(epoch).save(file)
    click.echo(f"wrote secrets of epoch {epoch} to {file}")
