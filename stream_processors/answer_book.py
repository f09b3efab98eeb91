"""The book of look-ups: who asked how much, when and for which stated purpose; never what."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from schemas.inquiries import AnswerStatus, Purpose

BOOK = "look-ups.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One look-up."""

    at: int  # ms, broker time
    organisation: str
    purpose: str
    status: str
    cards: int

    @property
    def day(self) -> str:
        """The day, UTC."""
        return datetime.fromtimestamp(self.at / 1000, UTC).date().isoformat()


class Book:
    """A file that is only ever added to, a line a look-up, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        """Keep the book in the exchange's data folder."""
        self._path = folder / BOOK

    def write(
        self, *, at: int, organisation: str, purpose: Purpose, status: AnswerStatus, cards: int
    ) -> None:
        """Add a line; on return the system has it."""
        line = Line(
            at=at,
            organisation=organisation,
            purpose=purpose.value,
            status=status.value,
            cards=cards,
        )
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "rb+", buffering=0) as file:
            torn = file.seek(0, os.SEEK_END) and not _ends_a_line(file)
            file.write((b"\n" if torn else b"") + json.dumps(asdict(line)).encode() + b"\n")


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def lines(folder: Path) -> Iterator[Line]:
    """Yield the book's lines in order; none when there is no book.

    A line that a crash tore is left out: its look-up had not been answered for certain.
    """
    path = folder / BOOK
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for text in file:
            if text.endswith("}\n"):
                yield Line(**json.loads(text))


def summed(folder: Path) -> list[dict[str, str | int]]:
    """Return look-ups and cards by day, organisation, purpose and status, in that order."""
    asked: Counter[tuple[str, str, str, str]] = Counter()
    cards: Counter[tuple[str, str, str, str]] = Counter()
    for line in lines(folder):
        key = (line.day, line.organisation, line.purpose, line.status)
        asked[key] += 1
        cards[key] += line.cards
    return [
        {
            "day": key[0],
            "organisation": key[1],
            "purpose": key[2],
            "status": key[3],
            "look_ups": asked[key],
            "cards": cards[key],
        }
        for key in sorted(asked)
    ]
