"""`silenthit watch`: the private watch list."""

from __future__ import annotations

import rich_click as click

from silenthit.lazy import LazyGroup

_VIEWS, _ENTRY, _UPKEEP = (
    f"consumers.watch_{each}" for each in ("commands", "entry_commands", "upkeep")
)


@click.group(
    cls=LazyGroup,
    lazy={
        "add": f"{_ENTRY}:add",
        "import": "consumers.watch_import_commands:import_command",
        "list": f"{_VIEWS}:list_command",
        "show": f"{_VIEWS}:show",
        "history": f"{_VIEWS}:history_command",
        "approve": f"{_UPKEEP}:approve",
        "edit": f"{_UPKEEP}:edit",
        "renew": f"{_UPKEEP}:renew",
        "expire": f"{_UPKEEP}:expire",
        "remove": f"{_UPKEEP}:remove",
        "retoken": f"{_UPKEEP}:retoken",
        "follow": "consumers.following_commands:follow",
        "followed": "consumers.following_commands:followed",
        "policy": "consumers.following_commands:policy",
        "deconflict": "consumers.deconfliction_commands:deconflict",
    },
)
def watch() -> None:
    """Place, list and remove private watches.

    Example: silenthit watch list --config fbi/partner.toml
    """
