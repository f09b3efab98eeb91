"""The base of every record on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of every record on the wire: immutable, closed, and silent in logs."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Nothing: a record's content never reaches a log or a traceback by its repr."""
        return iter(())

    __str__ = BaseModel.__repr__
