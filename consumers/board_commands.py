"""`silenthit alerts board`: the open alerts, full screen."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from consumers.command_line import config_option, example, opened


@click.command()
@config_option
@example("silenthit alerts board --config fbi/partner.toml")
def board(*, config: Path) -> None:
    """Show open alerts full screen: who answers for them, and when they climb next.

    Keys: c claim, r release, x close, n note, s or Enter show, q quit.
    """
    from consumers.board import Board  # noqa: PLC0415 no other command needs a screen

    with opened(config) as ours:
        shown = Board(ours)
        shown.run()
    if shown.fault is not None:
        raise shown.fault
