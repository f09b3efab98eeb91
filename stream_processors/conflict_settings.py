"""`[conflicts]` of exchange.toml: what one agency may plan a day, and what counts as probing."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ConflictSettings(BaseModel):
    """Ceilings of the process that tells agencies of each other's operations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_day: int = Field(default=50, ge=1)  # new operations of an agency; more wait for tomorrow
    revisions: int = Field(default=200, ge=1)  # of one operation; later ones are not taken
    probes: int = Field(default=3, ge=1)  # more upon one operation of another's are written down
    begun_per_day: int = Field(default=20, ge=1)  # of an agency's conflicts; more, as well
