"""How long a watch has to be known before it is told of others, and how often a partner is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from silenthit.blinding.deconfliction_key import DAY_S


class DeconflictionSettings(BaseModel):
    """`[deconfliction]` of exchange.toml. Less than a day is for demonstrations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settles_s: int = Field(default=DAY_S, ge=0)  # how long a watch is known before it counts
    per_day: int = Field(default=20, ge=0)  # meetings of one partner
