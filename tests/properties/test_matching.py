"""Index and matching against the reference rule, over random watches, touches and removals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import WatchRegistration, registration_key
from schemas.packing import TOKEN, pack
from schemas.rule import satisfies
from schemas.vocabulary import MATCH_KEY_KINDS
from stream_processors.admission import AdmittedTouch, Place
from stream_processors.matching import match_batch
from stream_processors.watch_index import WatchIndex
from tests.exchange_room import FAR, identified, ssn, token, touch_of

# Few values, so that tokens meet often.
tokens = st.builds(token, st.sampled_from(list(MATCH_KEY_KINDS)), st.sampled_from("abc"))
subjects = st.lists(st.lists(tokens, min_size=1, max_size=4, unique=True), min_size=1, max_size=3)
steps = st.lists(st.tuples(st.integers(0, 5), st.none() | subjects), max_size=12)


def packed(people: list) -> bytes:
    return pack([(n, t.kind, t.value) for n, several in enumerate(people) for t in several], TOKEN)


def registration(number: int, people: list) -> WatchRegistration:
    return WatchRegistration(
        registration_id=identified(number),
        partner="fbi",
        epoch=1,
        tokens=packed(people),
        kinds=(),
        expires_at=FAR,
    )


def admitted(record: int, people: list) -> AdmittedTouch:
    touch = touch_of(record, *people)
    return AdmittedTouch.of(Place("touches", 0, record, 1), "MA", touch)


@given(steps=steps, people=st.lists(subjects, min_size=1, max_size=3), head=st.integers(1, 40))
def test_the_index_finds_exactly_what_the_rule_says(steps: list, people: list, head: int) -> None:
    index, naive = WatchIndex(young_limit=head, leaf_limit=2 * head), {}
    for number, watched in steps:
        if watched is None:
            index.remove("fbi", registration_key(identified(number), 1))
            naive.pop(identified(number), None)
        else:
            index.add(registration(number, watched))
            naive[identified(number)] = packed(watched)
    batch = [admitted(n, several) for n, several in enumerate(people)]
    found = match_batch(batch, index)
    for touch, candidates in zip(batch, found, strict=True):
        expected = {
            each: matches
            for each, watch in naive.items()
            if (matches := satisfies(touch.touch.tokens, watch))
        }
        assert {c.watched.registration_id: c.matches for c in candidates} == expected
    assert len(index) == len(naive)


def test_tokens_that_share_their_first_half_are_told_apart() -> None:
    index = WatchIndex(young_limit=1)
    real = ssn("1")
    twin = type(real)(real.kind, real.value[:8] + bytes(8), real.secret)
    index.add(registration(1, [[real]]))
    index.add(registration(2, [[twin]]))
    (candidates,) = match_batch([admitted(1, [[real]])], index)
    assert [c.watched.registration_id for c in candidates] == [identified(1)]
