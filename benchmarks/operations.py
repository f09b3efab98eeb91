"""Places and times: tokens a side by size, what they take, how far the blind rule over-reaches.

    make bench-operations

Plans lie anywhere in the contiguous states, one time in a year; the over-reach is measured among
plans of one sort in one city, in three times as long as they last. Of the pairs that share a match
key, as the exchange asks for it, it is the share that the exact comparison then discards.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from schemas.areas import AreaPlan
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.prf import LocalKey
from silenthit.identity.areas import asking_keys, happening_keys, in_conflict
from silenthit.identity.match_keys import MatchKey

YEAR = datetime(2026, 1, 1, tzinfo=UTC)
DISTANCE_M = 1000.0
COUNTED, IN_A_CITY, TOKENISED = 1000, 300, 300
CITY_DEGREES = 0.25
SORTS = {  # radius in metres, hours
    "stop of a car": (100, 1),
    "raid": (200, 4),
    "surveillance": (500, 8),
    "sting, a day": (1000, 24),
    "sweep, a week": (2000, 7 * 24),
    "ceiling, agency": (5000, 14 * 24),
    "ceiling, partner": (5000, 31 * 24),
}


def plan(dice: random.Random, radius_m: float, hours: float, *, city: bool = False) -> AreaPlan:
    """Draw a plan of a size, up to a third smaller or larger."""
    lat, lon = (41.0, -73.0) if city else (dice.uniform(25, 49), dice.uniform(-125, -66))
    if city:
        lat, lon = lat + dice.random() * CITY_DEGREES, lon + dice.random() * CITY_DEGREES
    begin = YEAR + timedelta(minutes=dice.randrange(0, 525_600, 5))
    if city:
        begin = YEAR + timedelta(minutes=round(dice.random() * 180 * hours))
    lasts = timedelta(hours=min(hours * dice.uniform(0.67, 1.33), 31 * 24))
    return AreaPlan(lat=lat, lon=lon, radius_m=min(radius_m * dice.uniform(0.67, 1.33), 5000),
                    starts_at=begin, ends_at=begin + lasts)  # fmt: skip


def microseconds(make: Callable[[AreaPlan], object], plans: list[AreaPlan]) -> float:
    """Return what making something of each plan takes, in the middle."""
    took = []
    for each in plans:
        began = time.perf_counter()
        make(each)
        took.append((time.perf_counter() - began) * 1e6)
    return median(took)


def counts(dice: random.Random, radius_m: float, hours: float) -> dict[str, float]:
    """Count the tokens of a sort and time them."""
    plans = [plan(dice, radius_m, hours) for _ in range(COUNTED)]
    happening = [len(happening_keys(each)) for each in plans]
    asking = [len(asking_keys(each, DISTANCE_M)) for each in plans]
    return {
        "happening_median": median(happening),
        "happening_max": max(happening),
        "asking_median": median(asking),
        "asking_max": max(asking),
        "happening_us": round(microseconds(happening_keys, plans)),
        "asking_us": round(microseconds(lambda each: asking_keys(each, DISTANCE_M), plans)),
    }


def over_reach(dice: random.Random, radius_m: float, hours: float) -> dict[str, float]:
    """Compare all pairs of a city blindly and exactly."""
    plans = [plan(dice, radius_m, hours, city=True) for _ in range(IN_A_CITY)]
    happening: list[frozenset[MatchKey]] = [frozenset(happening_keys(each)) for each in plans]
    asking: list[frozenset[MatchKey]] = [frozenset(asking_keys(each, DISTANCE_M)) for each in plans]
    alert = meet = both = missed = 0
    for a in range(IN_A_CITY):
        for b in range(a):
            there = not happening[a].isdisjoint(asking[b])
            back = not happening[b].isdisjoint(asking[a])
            exact = in_conflict(plans[a], plans[b], DISTANCE_M)
            alert, both, meet = alert + there, both + (there and back), meet + exact
            missed += exact and not (there and back)
    if missed:
        sys.exit(f"expected that no conflict is missed, {missed} were")
    return {
        "conflicts": meet,
        "watch_candidates": alert,  # one side asks: a partner's watch
        "watch_discarded": round(1 - meet / alert, 3),
        "agency_candidates": both,  # both ask: two agencies
        "agency_discarded": round(1 - meet / both, 3),
    }


def main() -> None:
    """Print a table, and one JSON object as the last line."""
    dice = random.Random(8)
    prf = LocalKey([EpochSecrets.generate(epoch=1)])
    keys = happening_keys(plan(dice, 500, 8))[:TOKENISED]
    began = time.perf_counter()
    prf.tokens(1, keys)
    figures: dict[str, Any] = {
        "distance_m": DISTANCE_M,
        "token_us": round((time.perf_counter() - began) / len(keys) * 1e6, 1),
        "sorts": {},
    }
    print(f"{'':<17} {'radius':>6} {'hours':>5}   touch: tokens (max)  µs   asking: tokens (max)"
          "  µs   discarded: watch, agencies", file=sys.stderr)  # fmt: skip
    for name, (radius_m, hours) in SORTS.items():
        found = counts(dice, radius_m, hours) | over_reach(dice, radius_m, hours)
        figures["sorts"][name] = {"radius_m": radius_m, "hours": hours} | found
        print(
            f"{name:<17} {radius_m:>6} {hours:>5}"
            f" {found['happening_median']:>16.0f} ({found['happening_max']:>4})"
            f" {found['happening_us']:>5}"
            f" {found['asking_median']:>13.0f} ({found['asking_max']:>4}) {found['asking_us']:>5}"
            f" {found['watch_discarded']:>15.0%} {found['agency_discarded']:>8.0%}",
            file=sys.stderr,
        )
    print(f"one token with the key at hand: {figures['token_us']} µs", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
