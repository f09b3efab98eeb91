"""Misread plates against a million watched ones."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from silenthit.identity.vehicles import plate_as_read

# Usual serial formats (L letter, D digit) of the states with most vehicles, by registrations in
# millions (FHWA Highway Statistics, table MV-1, rounded).
FORMATS = {
    "DLLLDDD": 31, "LLLDDDD": 22 + 9 + 10 + 10 + 9 + 8 + 8 + 8 + 6, "LLLDDL": 4, "DDDLLL": 5,
    "LLDDDDD": 10, "LDDLLL": 6, "DLLLDD": 2, "DDDLLD": 1, "LLLLDD": 12, "DDDDDDD": 1, "DDDLLLL": 5,
    "LLLDLDL": 6, "DLLDDDD": 4, "LLDDDD": 3, "DDDDLL": 2, "LDLDDDD": 2,
}  # fmt: skip
# What officers and readers take for one another.
CONFUSABLE = ("0OQD", "1IL", "2Z", "5S", "8B", "6G")
MISREADS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Of misread plates: the share found, and strangers' plates found with each."""

    recall: float
    false_candidates: float


def measure(watched: int) -> Scores:
    """Draw watched plates, misread one sign of a thousand of them, look them up."""
    draw = random.Random(5)
    formats, weights = list(FORMATS), list(FORMATS.values())
    plates = list({_plate(draw, each) for each in draw.choices(formats, weights, k=watched)})
    index = Counter(map(plate_as_read, plates))
    found = strangers = 0
    misread = [
        each for each in plates if any(sign in group for sign in each for group in CONFUSABLE)
    ]
    for written in draw.sample(misread, MISREADS):
        seen = plate_as_read(_misread(draw, written))
        own = seen == plate_as_read(written)
        found += own
        strangers += index[seen] - own
    return Scores(
        recall=found / MISREADS, false_candidates=strangers / MISREADS * watched / len(plates)
    )


def _plate(draw: random.Random, form: str) -> str:
    return "".join(
        draw.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if sign == "L" else draw.choice("0123456789")
        for sign in form
    )


def _misread(draw: random.Random, written: str) -> str:
    """One confusable sign as another of its group."""
    places = [i for i, sign in enumerate(written) if any(sign in group for group in CONFUSABLE)]
    place = draw.choice(places)
    group = next(each for each in CONFUSABLE if written[place] in each)
    other = draw.choice([sign for sign in group if sign != written[place]])
    return written[:place] + other + written[place + 1 :]
