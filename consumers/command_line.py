"""What the partner's commands share: options, and how they print."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import cleandoc
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from consumers.partner import Partner, open_partner

F = TypeVar("F", bound=Callable[..., Any])

config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("partner.toml"),
    show_default=True,
    envvar="SILENTHIT_PARTNER",
    help="The partner's configuration.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def example(text: str) -> Callable[[F], F]:
    """Add an example to a command's help."""

    def add(function: F) -> F:
        shown = "\n".join(f"  {line}" for line in text.strip().splitlines())
        function.__doc__ = f"{cleandoc(function.__doc__ or '')}\n\n\b\nExample:\n{shown}\n"
        return function

    return add


@contextmanager
def opened(config: Path) -> Iterator[Partner]:
    """Open the partner for one command."""
    partner = open_partner(config)
    try:
        yield partner
    finally:
        partner.vault.close()


def user() -> str:
    """Who is at the keyboard, for the history."""
    return os.environ.get("SILENTHIT_USER") or getpass.getuser()


def print_json(content: Any) -> None:
    """Print one JSON value on a line of its own."""
    click.echo(json.dumps(content, ensure_ascii=False, default=str))
