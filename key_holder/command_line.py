"""What the `silenthit keyholder` commands share: their kinds of arguments and options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
EPOCH = click.IntRange(1, 2**32 - 1)


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config FILE`."""
    return click.option(
        "--config", "config", type=FILE, required=True, help="The key holder's keyholder.toml."
    )(command)


def as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json`."""
    return click.option("--json", "machine", is_flag=True, help="Print JSON, for machines.")(
        command
    )
