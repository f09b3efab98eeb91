"""The benchmark's records: incident reports as a records system exports them, each of other people.

A record is one LEXS 3.1 document of the samples (11 KB, two or three subjects, a short narrative)
with every name, date, address and identifier drawn anew, in the narrative too. Copies that share
their people would share their match keys, and a batch asks for a match key once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "harbor-city" / "lexs"
_NAMES = Path(__file__).resolve().parents[2] / "silenthit" / "identity" / "data"
_STREETS = ("Street", "Avenue", "Road", "Court", "Lane", "Terrace")


def incident_reports(count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield so many documents, the same ones for a seed."""
    samples = [path.read_text("utf-8") for path in sorted(SAMPLES.glob("*.xml"))]
    people = _Invented(Random(seed))
    for number in range(count):
        text = people.instead_of_those_in(samples[number % len(samples)])
        yield re.sub(r"HC-25-1\d{5}", f"HC-{number}", text).encode()


class _Invented:
    """Draws what stands for the sample's names and numbers."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._given, self._surnames = (
            [line.partition(",")[0] for line in (_NAMES / file).read_text("utf-8").splitlines()[1:]]
            for file in ("given_names.csv", "surnames.csv")
        )

    def instead_of_those_in(self, text: str) -> str:
        for tag in ("StreetNumberText", "LocationPostalCode"):
            text = re.sub(rf"(?<=<nc:{tag}>)[^<]+", lambda old: self._other_signs(old[0]), text)
        drawn: dict[str, Callable[[str], str]] = {
            "PersonSurName": lambda _: self._surname(),
            "PersonGivenName": lambda _: self._random.choice(self._given).title(),
            "StreetName": lambda _: f"{self._surname()} {self._random.choice(_STREETS)}",
            "LocationCityName": lambda _: f"{self._surname()} City",
            "TelephoneNumberFullID": self._other_signs,
            "IdentificationID": self._other_signs,
            "Date": self._other_day,
        }
        for tag, draw in drawn.items():
            for old in dict.fromkeys(re.findall(rf"<nc:{tag}>([^<]+)</nc:{tag}>", text)):
                if not old.startswith("HC-"):
                    text = _replaced(text, old, draw(old))
        return text

    def _surname(self) -> str:
        return self._random.choice(self._surnames).title()

    def _other_signs(self, old: str) -> str:
        """Other digits and capitals in the same places."""
        digits = re.sub(r"\d", lambda _: str(self._random.randint(2, 9)), old)
        return re.sub(r"[A-Z]", lambda _: self._random.choice("ABCDEFGHJKLMNPRSTUVWXYZ"), digits)

    def _other_day(self, old: str) -> str:
        return (date.fromisoformat(old) + timedelta(self._random.randint(-9000, 0))).isoformat()


def _replaced(text: str, old: str, new: str) -> str:
    for before, after in ((old, new), (old.upper(), new.upper())):
        text = re.sub(rf"(?<![\w-]){re.escape(before)}(?![\w-])", after, text)
    return text
