"""Index, batch matching and snapshots against ten naive lines, over random lives of watches."""

from __future__ import annotations

import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN, pack
from schemas.vocabulary import MATCH_KEY_KINDS, CoarseKind, MatchKeyKind, Strength
from stream_processors.admission import AdmittedTouch, Place
from stream_processors.matching import match_batch
from stream_processors.watch_index import Gone, WatchIndex
from stream_processors.watch_keys import WatchKeys, make_watch_key
from stream_processors.watch_snapshot import Snapshot, restored
from tests.exchange_room import FAR, identified, token, touch_of

# Few values, so that tokens meet often; many more weak kinds than a touch has, for the pairs.
WEAK = [kind for kind, facts in MATCH_KEY_KINDS.items() if facts.strength is Strength.WEAK]
tokens = st.builds(
    token,
    st.sampled_from([MatchKeyKind.SSN, MatchKeyKind.PHONE]) | st.sampled_from(WEAK),
    st.sampled_from("abc"),
)
subjects = st.lists(st.lists(tokens, min_size=1, max_size=4, unique=True), min_size=1, max_size=3)
watches = st.fixed_dictionaries(
    {
        "partner": st.sampled_from(["fbi", "hsi"]),
        "number": st.integers(0, 4),
        "people": subjects,
        "kinds": st.lists(st.sampled_from(CoarseKind), max_size=2, unique=True),
        "expires_at": st.sampled_from([50, FAR]),
    }
)
removals = st.builds(
    lambda partner, number: Gone(partner, registration_key(identified(number), 1)),
    st.sampled_from(["fbi", "hsi"]),
    st.integers(0, 4),
)
touches = st.lists(
    st.tuples(subjects, st.sampled_from(CoarseKind), st.sampled_from([10, 90])), max_size=4
)
steps = st.lists(
    st.lists(watches | removals, max_size=4) | touches | st.sampled_from(["maintain", "restart"]),
    max_size=14,
)


def naive(touch: tuple[list, CoarseKind, int], watch: dict[str, Any]) -> bool:
    """The match rule and the watch's options, as design section 2 says them."""
    people, kind, at = touch
    if at >= watch["expires_at"] or (watch["kinds"] and kind not in watch["kinds"]):
        return False
    for mine in people:
        for theirs in watch["people"]:
            common = [MATCH_KEY_KINDS[a.kind] for a in mine if (a.kind, a.value) in keys(theirs)]
            strong = any(each.strength is Strength.STRONG for each in common)
            pairs = combinations([c for c in common if c.strength is Strength.WEAK], 2)
            if strong or any(a.fields.isdisjoint(b.fields) for a, b in pairs):
                return True
    return False


def keys(people: list) -> set[tuple[int, bytes]]:
    return {(each.kind, each.value) for each in people}


def registration(watch: dict[str, Any]) -> WatchRegistration:
    rows = [(n, t.kind, t.value) for n, people in enumerate(watch["people"]) for t in people]
    return WatchRegistration(
        registration_id=identified(watch["number"]),
        partner=watch["partner"],
        epoch=1,
        tokens=pack(rows, TOKEN),
        kinds=tuple(watch["kinds"]),
        expires_at=watch["expires_at"],
    )


def admitted(number: int, touch: tuple[list, CoarseKind, int]) -> AdmittedTouch:
    people, kind, at = touch
    return AdmittedTouch.of(
        Place("touches", 0, number, at), "MA", touch_of(number, *people, kind=kind)
    )


def reloaded(index: WatchIndex, young: int) -> WatchIndex:
    again = WatchIndex(young_limit=young, leaf_limit=3 * young)
    with tempfile.TemporaryDirectory() as folder:
        path, key = Path(folder) / "snapshot", make_watch_key(Path(folder) / "keys")
        Snapshot.of(index, "c", {("watches.fbi", 0): 3}).write(path, key, now_ms=1)
        keys = WatchKeys(Path(folder) / "keys")
        found = restored(path, again, keys, cluster="c", partners=["fbi", "hsi"], now_ms=2)
    assert found == {("watches.fbi", 0): 3}
    return again


@given(steps=steps, young=st.integers(1, 60), loading=st.booleans())
def test_whatever_watches_live_through_exactly_those_that_the_rule_says_are_found(
    steps: list, young: int, loading: bool
) -> None:
    index = WatchIndex(young_limit=young, leaf_limit=3 * young)
    index.loading = loading
    there: dict[tuple[str, bytes], dict[str, Any]] = {}
    for step in steps:
        if step == "maintain":
            index.maintain()
        elif step == "restart":
            index = reloaded(index, young)
        elif step and isinstance(step[0], tuple) and not isinstance(step[0], Gone):
            batch = [admitted(number, touch) for number, touch in enumerate(step)]
            for touch, candidates in zip(step, match_batch(batch, index), strict=True):
                found = {(c.watched.partner, c.watched.registration_id) for c in candidates}
                expected = {
                    (partner, key[:16])
                    for (partner, key), watch in there.items()
                    if naive(touch, watch)
                }
                assert found == expected
                assert len(candidates) == len(expected)
        else:
            index.apply([each if isinstance(each, Gone) else registration(each) for each in step])
            for each in step:
                if isinstance(each, Gone):
                    there.pop((each.partner, each.key), None)
                else:
                    there[each["partner"], registration_key(identified(each["number"]), 1)] = each
        assert len(index) == len(there)
