"""The kept corpus, replayed: seeds, and whatever fuzzing found, which stays fixed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

KEPT = Path(__file__).parent / "corpus"
CASES = sorted(path for path in KEPT.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_kept_input_is_answered_or_refused_as_documented(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_a_corpus_and_none_is_kept_for_nobody() -> None:
    assert {path.parent.name for path in CASES} == set(TARGETS)
    assert sum(path.stat().st_size for path in CASES) < 300_000


@pytest.mark.parametrize("opening", [b"<script ", b"<style ", b"<"])
def test_a_long_mail_of_openings_without_an_end_is_read(opening: bytes) -> None:
    TARGETS["mail"](b"Subject: Tip\nContent-Type: text/html\n\n" + opening * 250_000)
