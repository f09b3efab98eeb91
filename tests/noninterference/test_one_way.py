"""Nothing that another principal can list, describe or fetch depends on a partner's watches."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.noninterference.compared import Comparison, compare
from tests.noninterference.scene import Run, run
from tests.noninterference.traffic import AGENCIES, ALLY, BYSTANDER

pytestmark = [pytest.mark.oneway, pytest.mark.timeout(1_800)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("runs")
    keys = folder / "keys"
    return (
        run(folder / "without", redis_server, watching=False, keys=keys),
        run(folder / "with", redis_server, watching=True, keys=keys),
    )


def comparisons(runs: tuple[Run, Run]) -> dict[str, Comparison]:
    without, with_watch = runs
    return {name: compare(without.seen[name], with_watch.seen[name]) for name in without.seen}


def test_the_watcher_was_alerted_in_one_run_and_not_in_the_other(runs: tuple[Run, Run]) -> None:
    assert runs[0].alerts_of_watcher == 0
    assert runs[1].alerts_of_watcher > 10
    assert runs[0].hits == 0
    assert runs[1].hits > 10


def test_two_who_agreed_were_told_of_each_other_in_both_runs(runs: tuple[Run, Run]) -> None:
    for each in runs:
        assert each.seen[BYSTANDER][f"messages/deconflictions.{BYSTANDER}/count"] == 1
        assert each.seen[ALLY][f"messages/deconflictions.{ALLY}/count"] == 1


@pytest.mark.parametrize("name", [*AGENCIES, BYSTANDER, ALLY, "answer-1"])
def test_a_principal_sees_the_same_with_and_without_the_watches(
    runs: tuple[Run, Run], name: str
) -> None:
    found = comparisons(runs)[name]
    assert found.fields > 200
    assert found.differences == ()


def test_say_what_was_compared(runs: tuple[Run, Run], capsys: pytest.CaptureFixture[str]) -> None:
    found = comparisons(runs)
    masked: Counter[str] = sum((each.masked for each in found.values()), Counter())
    with capsys.disabled():
        fields, size = sum(e.fields for e in found.values()), sum(e.size for e in found.values())
        print(f"\n{len(found)} principals, {fields} fields, {size} bytes compared exactly")
        for reason, count in masked.most_common():
            print(f"  {count:5} fields masked: {reason}")
    assert masked.total() < fields / 2
