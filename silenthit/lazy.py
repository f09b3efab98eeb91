"""A group of commands whose modules are imported only when one of them runs.

Logs are set up only for a command that may write some: structlog takes a tenth of a second.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Mapping
from typing import Any

import rich_click as click


class LazyGroup(click.RichGroup):
    """Takes `lazy`: where each command lives, as "module:attribute", in the order of the help."""

    def __init__(self, *args: Any, lazy: Mapping[str, str], **more: Any) -> None:
        super().__init__(*args, **more)
        self._lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        """Return the names."""
        return [*self._lazy, *(name for name in self.commands if name not in self._lazy)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name."""
        if cmd_name in self._lazy and cmd_name not in self.commands:
            self.add_command(_imported(self._lazy[cmd_name]), cmd_name)
            if "structlog" in sys.modules:
                from silenthit.logs import configure_logs  # noqa: PLC0415 see above

                configure_logs("WARNING")
        return super().get_command(ctx, cmd_name)

    def load(self) -> None:
        """Import every command."""
        ctx = click.Context(self)
        for name in self._lazy:
            self.get_command(ctx, name)


def _imported(place: str) -> click.Command:
    module, _, attribute = place.partition(":")
    gc.disable()  # of what is imported nothing is garbage, and looking takes a tenth of the time
    try:
        command: click.Command = getattr(importlib.import_module(module), attribute)
    finally:
        gc.freeze()  # else the first look afterwards goes through all of it
        gc.enable()
    return command
