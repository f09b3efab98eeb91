"""Names of people in a narrative: runs of capitals, judged by what precedes them and by tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from producers.narrative_runs import MOST_GIVEN_NAMES, Token, runs
from producers.narrative_words import (
    NEVER,
    OFFICERS,
    PARTICLES,
    PLACE_STARTS,
    SUFFIXES,
    TITLES,
)
from silenthit.identity.frequencies import given_frequency, is_given, is_surname
from silenthit.identity.names import name as plain_name

_CUE = re.compile(
    r"(?i)(?:\b[swvbha][/-][mfw]\b|\b[swvp]-?\d\s*\(?|\b(?:subj|susp|vict|wit|victim|suspect|subject|"
    r"witness|passenger|pass|op|oper|operator|driver|drvr|rp|r/p|pr|caller|complainant|party|inmate|"
    r"assoc|associate of|owner|tenant|manager|nurse|worker|named|name(?: was| is| as| of)?|"
    r"id'?d as|ids|identified(?: \w+self)? as|in fact|determined to be|returned to|back to|"
    r"licen[cs]ed? (?:as|to)|lic to|known to be|possibly|with|w/|be|of|by|met|and|mother|"
    r"father|sister|brother|son|daughter|aunt|uncle|cousin|guardian|boyfriend|girlfriend|employer|"
    r"co-?worker|neighbor|friend|wife|husband|roommate|patient|client|female|male|"
    r"missing|looks like|call|mr|mrs|ms|miss|dr)\b[.:;,]?\s*\(?\s*[\"“]?)$"
)
_STRONG_CUE = re.compile(
    r"(?i)(?:\b[swvbha][/-][mfw]\b|\b[swvp]-?\d\s*\(|\b(?:subj|susp|vict|juv vict|passenger|driver|"
    r"rp|r/p|op|inmate|missing|named|first name|name (?:is|was|as)|id'?d as|identified as|"
    r"identified \w+self as|mr|mrs|ms|dr)\b[.:,]?\s*\(?)\s*$"
)
_OFFICER_BEFORE = re.compile(
    r"(?i)\b(?:" + "|".join(sorted(each.replace(".", r"\.") for each in OFFICERS)) + r")\s+$"
)


_WINDOW = 32  # signs in front of a name that may say what it is
_SHOUTED = 0.7  # share of capitals in a text that is all capitals
_LONGEST = 5  # words of a name
_SHORTEST = 3  # letters of a given name that stands alone
_COMMON = 0.0001  # share of the population that bears it


@dataclass(frozen=True, slots=True)
class Mention:
    """One name in the text and where it stands; the repr hides it."""

    text: str
    start: int
    end: int

    def __repr__(self) -> str:
        return f"Mention({self.start}, {self.end})"


def names_in(text: str, *, taken: Sequence[tuple[int, int]] = ()) -> list[Mention]:
    """Find names of people but officers, in order; the same name again is left out.

    `taken` are spans that are something else (an e-mail address, a plate, a street).
    """
    shouted = _is_shouted(text)
    return _without_repeats(
        [each for run in runs(text, taken) for each in _judge(text, run, shouted=shouted)]
    )


def _is_shouted(text: str) -> bool:
    return sum(map(str.isupper, text)) > _SHOUTED * sum(map(str.isalpha, text))


def _judge(text: str, run: list[Token], *, shouted: bool) -> Iterator[Mention]:
    """Take the names out of one run: "Surname, Given", or given names and surname."""
    while run and (run[0].text == "," or run[0].text in PARTICLES):
        run = run[1:]
    while run and (run[-1].text == "," or run[-1].text in PARTICLES):
        run = run[:-1]
    if not run or run[0].low in OFFICERS or _OFFICER_BEFORE.search(_before(text, run[0])):
        return
    titled = False
    while run and (run[0].low in TITLES or run[0].text.lower() in TITLES):
        run, titled = run[1:], True
    if not run:
        return
    commas = [i for i, token in enumerate(run) if token.text == ","]
    if len(commas) >= 1 and _surname_first(text, run, commas[0]):
        end = commas[1] if len(commas) > 1 else len(run)
        yield _mention(text, run[: min(end, commas[0] + 4)])
        if end < len(run):
            yield from _judge(text, run[end + 1 :], shouted=shouted)
        return
    if commas:
        yield from _judge(text, run[: commas[0]], shouted=shouted)
        yield from _judge(text, run[commas[0] + 1 :], shouted=shouted)
        return
    yield from _plain(text, run, shouted=shouted, titled=titled)


def _before(text: str, token: Token) -> str:
    """The signs in front of a word; a few, as a long report has many names."""
    return text[max(0, token.start - _WINDOW) : token.start]


def _surname_first(text: str, run: list[Token], comma: int) -> bool:
    """Whether words around a comma are "Surname, Given Middle"."""
    head, tail = run[:comma], run[comma + 1 : comma + 4]
    if not 1 <= len(head) <= MOST_GIVEN_NAMES + 1 or not tail or tail[0].text == ",":
        return False
    if _knows_given(head[0]) and len(head) > 1:
        return False
    given_after = _knows_given(tail[0]) or tail[0].low.split("-")[0] not in NEVER
    cue = _STRONG_CUE.search(_before(text, head[0])) is not None
    surname_before = _knows_surname(head[-1]) or "-" in head[-1].text
    sure = surname_before and (_knows_given(tail[0]) or head[0].text.isupper())
    return given_after and (cue or sure)


def _plain(text: str, run: list[Token], *, shouted: bool, titled: bool) -> Iterator[Mention]:
    before = _before(text, run[0])

    def strong() -> bool:
        return titled or _STRONG_CUE.search(before) is not None

    if shouted and not strong():
        run = _from_first_given(run)
    if not run or len(run) > _LONGEST:
        return
    words = [token for token in run if token.low not in SUFFIXES]
    if not words or (words[0].low in PLACE_STARTS and not strong()):
        return
    if len(words) == 1:
        if _single(text, words[0], shouted=shouted):
            yield _mention(text, run)
        return
    given, surname = _knows_given(words[0]), _knows_surname(words[-1])
    initial = len(words[0].text.rstrip(".")) == 1
    known = (given or initial) and surname
    likely = not shouted and (given or (surname and words[0].low not in NEVER))
    open_to_cues = given or surname or initial or not shouted
    # The cues cost more than all the rest, so they are asked last.
    if known or likely or strong() or (open_to_cues and _CUE.search(before)):
        yield _mention(text, run)


def _from_first_given(run: list[Token]) -> list[Token]:
    for i, token in enumerate(run):
        initial = token.text[1:] == "."
        if _knows_given(token) or (initial and len(run) == i + 2 and _knows_surname(run[i + 1])):
            return run[i:]
    return []


def _single(text: str, word: Token, *, shouted: bool) -> bool:
    """Whether one capitalised word alone is a given name."""
    if len(word.text) < _SHORTEST or word.low in NEVER:
        return False
    named = re.search(r"(?i)\bnam(?:ed|e (?:is|was|of))\s+$", _before(text, word))
    if named:
        return True
    if shouted or given_frequency(plain_name(word.text)) < _COMMON:
        return False
    return not re.search(r"(?:^|[.!?:;]\s+|\n)[\"“(]?$", _before(text, word))


def _knows_given(token: Token) -> bool:
    low = plain_name(token.text)
    return low not in NEVER and any(is_given(part) for part in low.split())


def _knows_surname(token: Token) -> bool:
    low = plain_name(token.text)
    return any(is_surname(part) for part in low.split())


def _mention(text: str, run: list[Token]) -> Mention:
    start, end = run[0].start, run[-1].end
    if text[start:end].endswith(".") and run[-1].low not in SUFFIXES:
        end -= 1
    return Mention(text[start:end], start, end)


def _without_repeats(found: list[Mention]) -> list[Mention]:
    """Drop a name whose words all stood in an earlier or fuller one."""
    first: dict[frozenset[str], Mention] = {}
    for each in found:
        first.setdefault(frozenset(plain_name(each.text).split()), each)
    return [
        each for words, each in first.items() if words and not any(words < other for other in first)
    ]
