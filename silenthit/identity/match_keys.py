"""Match keys: what two records of one person are likely to share."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.vocabulary import MatchKeyKind


@dataclass(frozen=True, slots=True)
class MatchKey:
    """A normalised combination of identifiers; the repr hides its value."""

    kind: MatchKeyKind
    value: str

    def __repr__(self) -> str:
        return f"MatchKey({self.kind.name})"
