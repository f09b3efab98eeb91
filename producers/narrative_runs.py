"""Runs of capitalised words in a narrative, cut where no name goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from producers.narrative_words import NEVER, NOT_PERSON, OFFICERS, PARTICLES, SUFFIXES, TITLES
from silenthit.identity.frequencies import is_given, is_surname

_LETTER = r"[^\W\d_]"
_TOKEN = re.compile(rf"{_LETTER}+(?:['’\-]{_LETTER}+)*\.?|\S")
_LONGEST_RUN = 60  # words and commas in a list of names
_INSIDE = re.compile(r" [\"“'‘][\w ]{2,18}[\"”'’](?= [A-Z][a-z])")
_QUOTES = tuple("\"“'‘")
_GAP = re.compile(r" (?:[\"“'‘][\w ]{2,18}[\"”'’] )?")
MOST_GIVEN_NAMES = 2  # at most in front of a surname


class Token(NamedTuple):
    """One word or sign and where it stands; the repr hides it."""

    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        """Lower case; the stop after an abbreviation dropped, after an initial kept."""
        return self.text.lower().rstrip(".") if self.text[1:] != "." else self.text.lower()

    def __repr__(self) -> str:
        return f"Token({self.start}, {self.end})"


def runs(text: str, taken: Sequence[tuple[int, int]]) -> Iterator[list[Token]]:
    """Neighbouring capitalised words, particles and initials among them; a comma stays inside."""
    run: list[Token] = []
    covered = bytearray(len(text) if taken else 0)
    for start, end in taken:
        covered[start:end] = b"\1" * (end - start)
    for match in _TOKEN.finditer(text):
        name_like = text[match.start()].isupper()
        if not run and not name_like:
            continue
        token = Token(match[0], match.start(), match.end())
        joined = bool(run) and _joined(text, run[-1].end, token.start)
        inside = 1 in covered[token.start : token.end]
        if len(run) >= _LONGEST_RUN:
            yield from _closed(run)
            run, joined = [], False
        if token.text == "," and run and token.start == run[-1].end and not inside:
            run.append(token)
            continue
        name_like = name_like and not inside and not _slashed(text, token)
        if run and token.start < _quoted_end(text, run[-1].end):
            continue
        if not name_like and not (token.text in PARTICLES and run):
            yield from _closed(run)
            run = []
        elif joined or not run:
            run.append(token)
        else:
            yield from _closed(run)
            run = [token]
        if run and run[-1].text.endswith(".") and not _abbreviation(run[-1]):
            yield from _closed(run)
            run = []
    yield from _closed(run)


def _joined(text: str, end: int, start: int) -> bool:
    """Whether a space alone, or a street name in quotes, stands between two words."""
    return text[end:start] == " " or _GAP.fullmatch(text, end, start) is not None


def _slashed(text: str, token: Token) -> bool:
    """Whether a letter or two stand beside a slash: "W/F"."""
    around = text[token.end : token.end + 1], text[token.start - 1 : token.start]
    return len(token.text) < len("WM/") and "/" in around


def _quoted_end(text: str, position: int) -> int:
    """Where a street name in quotes ends that stands inside a name; the position itself if none."""
    if text[position + 1 : position + 2] not in _QUOTES:
        return position
    found = _INSIDE.match(text, position)
    return found.end() if found else position


def _closed(run: list[Token]) -> Iterator[list[Token]]:
    """Cut a finished run at words that no name has, keeping what stands between them."""
    piece: list[Token] = []
    for number, token in enumerate(run):
        comma_next = number + 2 < len(run) and run[number + 1].text == ","
        surname_first = not piece and comma_next and token.low in _SURNAMES_TOO
        if (
            token.low in NEVER
            and token.low not in TITLES
            and not (surname_first or _kept_inside(token, piece))
        ):
            if piece and token.low in NOT_PERSON:
                piece = []
            if piece:
                yield piece
            piece = [token] if token.low in OFFICERS else []
        else:
            piece.append(token)
    if piece:
        yield piece


def _kept_inside(token: Token, piece: list[Token]) -> bool:
    """Words of the lists that are surnames too, after a given name: Brooke Parker, Ana Mexico."""
    if (
        not piece
        or len(piece) > MOST_GIVEN_NAMES
        or token.low in OFFICERS | _HARD | _never_after(token)
    ):
        return False
    first = piece[0].low
    return is_given(first) and first not in NEVER and is_surname(token.low)


def _never_after(token: Token) -> frozenset[str]:
    return NOT_PERSON if token.text.istitle() else frozenset()


_SURNAMES_TOO = frozenset(
    {"park", "white", "black", "brown", "green", "king", "hall", "street", "church", "young"}
)
_HARD = frozenset({"street", "road", "lane", "house", "park", "with", "from"})


def _abbreviation(token: Token) -> bool:
    bare = token.text.rstrip(".")
    return len(bare) == 1 or token.low in TITLES | SUFFIXES | OFFICERS or bare.lower() in SUFFIXES
