"""How common names are, so that agreeing on a rare one counts for more.

The tables under `data/` are the US Census Bureau's of 1990 (public domain): names borne by at least
0.0015 per cent. Replace them with a population's own, in the same two columns.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

_RAREST_SURNAME = 0.001 / 100
_RAREST_GIVEN = 0.001 / 100


@cache
def _table(name: str) -> dict[str, float]:
    """Name → share of the population."""
    text = files("silenthit.identity").joinpath("data", f"{name}.csv").read_text("utf-8")
    return {row["name"]: float(row["percent"]) / 100 for row in csv.DictReader(text.splitlines())}


def surname_frequency(surname: str) -> float:
    """Share of the population with a surname (lower case); a floor for one not in the table."""
    return _table("surnames").get(surname, _RAREST_SURNAME)


def given_frequency(given: str) -> float:
    """Share of the population with a given name (lower case); a floor for one not in the table."""
    return _table("given_names").get(given, _RAREST_GIVEN)


def is_surname(word: str) -> bool:
    """Whether a word (lower case) is in the table of surnames."""
    return word in _table("surnames")


def is_given(word: str) -> bool:
    """Whether a word (lower case) is in the table of given names."""
    return word in _table("given_names")
