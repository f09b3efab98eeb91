"""How alike one field of two subjects is: an outcome that a model gives a weight."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """One field's outcome. `frequency` is the shared name's, where one is shared exactly."""

    field: str
    level: str
    watched: str
    seen: str
    frequency: float = 0.0

    def __repr__(self) -> str:
        return f"Level({self.field}: {self.level})"
