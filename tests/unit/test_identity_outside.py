"""Figures that outside data must go on giving; `make bench-identity` measures the rest."""

from __future__ import annotations

from pathlib import Path

from benchmarks.identity import name_pairs, plates


def test_whole_names_reach_the_promised_f1(outside_data: Path) -> None:
    assert (outside_data / "names" / "name_pairs.csv").exists()
    assert name_pairs.measure().f1 >= 0.85


def test_misread_plates_are_found_among_many() -> None:
    scores = plates.measure(100_000)
    assert scores.recall == 1
    assert scores.false_candidates <= 0.05 / 10
