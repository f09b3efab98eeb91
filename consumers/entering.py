"""Entering watches: by whom they are, and into the vault with progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import track

from consumers.partner import Partner
from consumers.placing import add_watches
from consumers.watches import Watch

_AT_ONCE = 500
WORTH_A_BAR = 200


def signed(fields: dict[str, Any], ours: Partner) -> dict[str, Any]:
    """Fill in who states the suspicion and whose the watch is: who enters it, unless said."""
    return {"stated_by": ours.who, "owner": ours.who, **fields}


def place(ours: Partner, watches: Sequence[Watch]) -> list[bytes]:
    """Add watches, so many at once that a progress bar moves and the vault is not kept busy."""
    added: list[bytes] = []
    starts = range(0, len(watches), _AT_ONCE)
    with ours.blinding() as blinding:
        watchable = blinding.epochs().watchable
        for start in tracked(starts, "adding", bar=len(watches) >= WORTH_A_BAR):
            added += add_watches(
                ours.vault,
                watches[start : start + _AT_ONCE],
                partner=ours.settings.name,
                epochs=watchable,
                prf=blinding.prf,
                now=ours.now(),
            )
    return added


def tracked(what: Sequence[Any], word: str, *, bar: bool) -> Iterator[Any]:
    """Yield each of these while a progress bar moves on standard error, if there is to be one."""
    return iter(track(what, word, console=Console(stderr=True), disable=not bar))
