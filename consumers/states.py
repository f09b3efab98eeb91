"""Where a registration is on its way to the exchange, and back."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Of one registration: of one watch in one epoch."""

    PENDING = "pending"  # to be placed at the exchange
    PLACED = "placed"
    REMOVING = "removing"  # its tombstone is to be sent
    REMOVED = "removed"
