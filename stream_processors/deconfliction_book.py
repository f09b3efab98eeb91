"""The book of deconfliction: which two partners were told of each other, and when; no subject."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BOOK = "deconflictions.jsonl"


class Book:
    """A file that is only ever added to, a line a meeting, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        """Keep the book in the exchange's data folder."""
        self._path = folder / BOOK

    def write(self, *, at: int, meeting: bytes, partners: tuple[str, ...], what: str) -> None:
        """Add a line: who was told, updated, or has to wait (`held`); times in ms."""
        line = {"at": at, "meeting": meeting.hex(), "partners": list(partners), "what": what}
        add(self._path, line)


def add(path: Path, line: dict[str, Any]) -> None:
    """Add a line to a book that its owner alone may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def lines(folder: Path, book: str = BOOK) -> Iterator[dict[str, Any]]:
    """Yield a book's lines in order, each with its day (UTC); a torn last one is left out."""
    path = folder / book
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for text in file:
            if text.endswith("\n"):
                line = json.loads(text)
                day = datetime.fromtimestamp(line["at"] / 1000, UTC).date().isoformat()
                yield {"day": day, **line}
