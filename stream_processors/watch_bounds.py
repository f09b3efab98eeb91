"""`[watch_bounds]` of exchange.toml: how much a partner may watch before it is shown as fishing."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class WatchBounds(BaseModel):
    """Bounds of one partner. Nothing is refused on their account: the auditor is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: int = Field(default=20_000_000, ge=1)  # a million watches of twenty
    tokens_a_day: int = Field(default=2_000_000, ge=1)
    tokens_of_a_kind: int = Field(default=2_000, ge=1)  # in one watch
