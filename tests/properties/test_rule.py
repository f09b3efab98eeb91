"""`satisfies` against an oracle written apart from it, straight from the words of the rule."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.packing import TOKEN, pack, rows
from schemas.rule import satisfies
from schemas.vocabulary import MATCH_KEY_KINDS, MatchKeyKind, Strength

Row = tuple[int, int, bytes]

# Few subjects, kinds and tokens, so that much is in common; 0, 99 and 255 are no kinds.
WEAK = [kind for kind, facts in MATCH_KEY_KINDS.items() if facts.strength is Strength.WEAK]
kinds = st.sampled_from([*WEAK, MatchKeyKind.SSN, MatchKeyKind.PHONE, 0, 99, 255])
letters = st.sampled_from([bytes([letter]) * 16 for letter in b"abc"])
tables = st.lists(st.tuples(st.integers(0, 2), kinds, letters), max_size=10)


def naive(touch: list[Row], watch: list[Row]) -> set[tuple[int, int, int]]:
    """Row of the touch and the two subjects of all that counts."""
    found = set()
    common = [(i, t[0], w[0], t[1]) for i, t in enumerate(touch) for w in watch if t[1:] == w[1:]]
    for i, s, v, kind in common:
        facts = MATCH_KEY_KINDS.get(kind)  # type: ignore[call-overload]
        if facts and facts.strength is Strength.STRONG:
            found.add((i, s, v))
        for j, other_s, other_v, other in common:
            more = MATCH_KEY_KINDS.get(other)  # type: ignore[call-overload]
            if facts and more and (s, v) == (other_s, other_v) and i != j:
                both_weak = facts.strength is Strength.WEAK and more.strength is Strength.WEAK
                if both_weak and not set(facts.fields) & set(more.fields):
                    found.add((i, s, v))
    return found


@given(tables, tables)
@settings(max_examples=500)
def test_the_rule_is_what_the_oracle_says(touch: list[Row], watch: list[Row]) -> None:
    matches = satisfies(pack(touch, TOKEN), pack(watch, TOKEN))
    assert {(m.row, m.touch_subject, m.watch_subject) for m in matches} == naive(touch, watch)
    assert len(matches) == len({(m.row, m.touch_subject, m.watch_subject) for m in matches})
    assert list(matches) == sorted(matches)
    assert all((m.kind, m.token) == touch[m.row][1:] for m in matches)


@given(tables, tables)
def test_the_rule_is_the_same_from_both_sides(touch: list[Row], watch: list[Row]) -> None:
    one = satisfies(pack(touch, TOKEN), pack(watch, TOKEN))
    other = satisfies(pack(watch, TOKEN), pack(touch, TOKEN))
    seen = {(m.touch_subject, m.watch_subject, m.kind, m.token) for m in one}
    assert {(m.watch_subject, m.touch_subject, m.kind, m.token) for m in other} == seen


@given(tables, tables, tables)
def test_watching_more_never_loses_a_match(
    touch: list[Row], watch: list[Row], more: list[Row]
) -> None:
    before = set(satisfies(pack(touch, TOKEN), pack(watch, TOKEN)))
    assert before <= set(satisfies(pack(touch, TOKEN), pack(watch + more, TOKEN)))


@given(st.binary(max_size=18 * 6).map(lambda raw: raw[: len(raw) // 18 * 18]))
def test_no_rows_make_the_rule_raise(packed: bytes) -> None:
    for match in satisfies(packed, packed):
        assert rows(packed, TOKEN)[match.row]["kind"] == match.kind
