"""Whole names against nomenklatura's labelled pairs; fits and cross-validates the weights.

`python -m benchmarks.identity.name_pairs` writes `silenthit/identity/data/names_alike.json` anew.
"""

from __future__ import annotations

import csv
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from silenthit.identity import names_alike

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "silenthit" / "identity" / "data" / "names_alike.json"
FOLDS = 10
RIDGE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Cross-validated: every pair is judged by weights fitted without it or its twins."""

    precision: float
    recall: float
    f1: float
    failing: list[tuple[str, str, bool]]


def outside_data() -> Path:
    """Where the files lie that this project did not write."""
    return Path(os.environ.get("SILENTHIT_OUTSIDE_DATA", ROOT.parent / "shared" / "data"))


def load() -> list[tuple[str, str, bool]]:
    """Pairs of names of persons, and whether they are of one."""
    with (outside_data() / "names" / "name_pairs.csv").open(encoding="utf-8") as file:
        return [
            (row["name1"], row["name2"], row["is_match"] == "true")
            for row in csv.DictReader(file)
            if row["schema"] == "Person"
        ]


def fit(rows: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic regression with a ridge, by Newton's method."""
    weights = np.zeros(rows.shape[1])
    ridge = RIDGE * np.eye(rows.shape[1])
    ridge[0, 0] = 0
    for _ in range(30):
        guess = 1 / (1 + np.exp(-(rows @ weights)))
        slope = rows.T @ (labels - guess) - ridge @ weights
        curve = (rows * (guess * (1 - guess))[:, None]).T @ rows + ridge
        weights = weights + np.linalg.solve(curve, slope)
    return weights


def folds(pairs: list[tuple[str, str, bool]]) -> list[int]:
    """A fold for each pair; pairs that share a name share a fold: none is seen in fitting."""
    group = list(range(len(pairs)))
    by_name: dict[str, int] = {}
    for i, (one, other, _) in enumerate(pairs):
        for text in (one, other):
            first = by_name.setdefault(text, i)
            old, new = group[i], group[first]
            group = [new if each == old else each for each in group]
    numbers = sorted(set(group))
    random.Random(4).shuffle(numbers)
    return [numbers.index(each) % FOLDS for each in group]


def measure() -> Scores:
    """Precision, recall and F1 of the guesses at even odds, cross-validated."""
    pairs = load()
    rows = np.array([names_alike.features(one, other) for one, other, _ in pairs])
    labels = np.array([float(same) for _, _, same in pairs])
    fold = np.array(folds(pairs))
    guess = np.zeros(len(pairs), bool)
    for number in range(FOLDS):
        out = fold == number
        guess[out] = rows[out] @ fit(rows[~out], labels[~out]) > 0
    right = float((guess & (labels == 1)).sum())
    precision, recall = right / max(1, guess.sum()), right / labels.sum()
    failing = [pair for pair, said in zip(pairs, guess, strict=True) if said != pair[2]]
    f1 = 2 * precision * recall / (precision + recall)
    return Scores(precision=precision, recall=recall, f1=f1, failing=failing)


def main() -> None:
    """Fit on all pairs and write the weights."""
    pairs = load()
    rows = np.array([names_alike.features(one, other) for one, other, _ in pairs])
    weights = fit(rows, np.array([float(same) for _, _, same in pairs]))
    named = dict(
        zip(names_alike.FEATURES, (round(float(each), 3) for each in weights), strict=True)
    )
    WEIGHTS.write_text(json.dumps(named, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
