"""The book of conflicts: which two agencies were told of each other's operations, and who probes.

No place, no time of an operation, no subject: the exchange has none.
"""

from __future__ import annotations

from pathlib import Path

from stream_processors.conflict_settings import ConflictSettings
from stream_processors.conflicts import Conflicts, Telling
from stream_processors.deconfliction_book import add

BOOK = "conflicts.jsonl"


class Book:
    """A file that is only ever added to, a line a telling, readable by its owner alone."""

    def __init__(self, folder: Path, settings: ConflictSettings) -> None:
        """Keep the book in the exchange's data folder."""
        self._path, self._settings = folder / BOOK, settings

    def told(self, each: Telling, state: Conflicts, now: int) -> None:
        """Write down what two agencies were told, and if one of them seems to probe."""
        agencies = [side.organisation for side in each.note.sides]
        self._write(now, each.what, agencies, conflict=each.conflict_id.hex(), probes=each.probes)
        if each.probes > self._settings.probes:
            self._write(now, "probing", agencies, conflict=each.conflict_id.hex())
        for agency in agencies:
            begun = state.begun_on(now, agency)
            if each.what == "told" and begun > self._settings.begun_per_day:
                self._write(now, "many", [agency], begun=begun)

    def held(self, organisation: str, now: int) -> None:
        """Write down that an operation waits: its agency planned as many as a day allows."""
        self._write(now, "held", [organisation])

    def refused(self, organisation: str, now: int) -> None:
        """Write down that an operation was not taken: another's record, or changed too often."""
        self._write(now, "refused", [organisation])

    def _write(self, at: int, what: str, agencies: list[str], **more: str | int) -> None:
        add(self._path, {"at": at, "what": what, "agencies": agencies, **more})
