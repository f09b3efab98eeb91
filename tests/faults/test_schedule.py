"""What a schedule of faults is made of, without running one."""

from __future__ import annotations

from itertools import pairwise

from tests.faults.schedule import KINDS, STORM_S, Schedule
from tests.faults.traffic import squeezed
from tests.histories.judge import BOUND_MS


def test_one_seed_is_one_schedule() -> None:
    assert Schedule.of(7) == Schedule.of(7)
    assert Schedule.of(7).faults != Schedule.of(8).faults


def test_fifteen_neighbouring_seeds_go_through_every_kind() -> None:
    drawn = {
        (fault.what, fault.nodes) for seed in range(40, 55) for fault in Schedule.of(seed).faults
    }
    missing = [kind for kind in KINDS if not {(kind.name, each) for each in kind.nodes} & drawn]
    assert missing == []
    assert all(0 <= fault.at <= STORM_S for fault in Schedule.of(40).faults)


def test_a_storm_is_within_the_judges_bound_and_the_quiet_between_is_not() -> None:
    moments = [1_000, 4_000, 4_100, 30_000]
    at = squeezed(moments)
    assert at(4_000) - at(1_000) < BOUND_MS
    assert at(30_000) - at(4_100) < BOUND_MS
    assert at(4_100) - at(4_000) > BOUND_MS
    assert all(at(one) <= at(other) for one, other in pairwise(range(0, 40_000, 50)))
