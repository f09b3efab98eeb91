"""Required missing 0, forbidden present 0, doubled 0; and the judge notices planted bugs."""

from __future__ import annotations

import pytest

from schemas.topics import ALERTS, TOUCHES, WATCHES
from tests.histories.history import History
from tests.histories.judge import judge
from tests.histories.planted import PLANTED
from tests.histories.run import first_noticed, run_many, run_one
from tests.histories.workers import PARTNERS

FIRST, HISTORIES = 451_725, 3_000  # the same in each run; `make test-histories` goes elsewhere
NOTICED_WITHIN = 1_500  # rare ones need a kill, a move and a loss in one order


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_thousand_histories_require_and_forbid_what_was_alerted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    totals = run_many(FIRST, HISTORIES)
    with capsys.disabled():
        print(f"\nseeds {FIRST} to {FIRST + HISTORIES - 1}: {totals}")  # noqa: T201 the figures
    assert totals.faults == []
    assert totals.counts["required"] > HISTORIES
    assert min(totals.counts[each] for each in ("kills", "moves", "zombies", "losses")) > 500


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [each.__name__ for each in PLANTED])
def test_the_judge_notices_a_planted_bug(name: str) -> None:
    assert first_noticed(name, NOTICED_WITHIN) is not None


# Found when a worker had one thing under way at a time, and claimed partitions in one step: by now
# these seeds bring about something else than they did.
# 391: one node of Redis lost rows whose record, on another, said that they were there.
# 5050: Redis lost its tail between the check and the look-back, whose checkpoint then passed.
# 200466: a revision that had expired when it came did not overtake the one that came after it.
# 400738: a retraction was lost behind a mark that the touches of its batch had moved.
# 452711, 831307: of a write that one node had refused, another held the record: no rows again.
# 454354: a late worker alerted somebody whom the new owner, which knew more, told nothing.
# 900075: what had expired by then was taken again, and met a watch that came after it.
KEPT = (391, 5050, 200_466, 400_738, 452_711, 454_354, 831_307, 900_075)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("seed", [*range(9), *KEPT])
def test_a_few_histories(seed: int, *, overlap: bool) -> None:
    assert run_one(seed, overlap=overlap).faults == []


async def test_one_seed_is_one_history() -> None:
    first, second = History(3), History(3)
    await first.run()
    await second.run()
    assert len(first.log.all_of(TOUCHES.name)) > 3
    assert written(first) == written(second)


async def test_the_judge_misses_an_alert_that_is_taken_away_and_forbids_one_that_is_added() -> None:
    history = History(8)
    verdict = await history.run()
    assert verdict.required
    touches = history.log.all_of(TOUCHES.name)
    watches = [m for partner in PARTNERS for m in history.log.of(WATCHES.of(partner))]
    alerts = [m for partner in PARTNERS for m in history.log.of(ALERTS.of(partner))]
    assert len(judge(touches, watches, []).missing) >= verdict.required
    assert judge(touches, [], alerts).forbidden


def written(history: History) -> list[tuple[str, int, bytes | None]]:
    return [
        (topic, partition, message.key)
        for (topic, partition), held in sorted(history.log.partitions.items())
        for message in held
    ]
