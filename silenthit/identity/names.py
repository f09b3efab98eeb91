"""Names of people: any script into plain letters, into parts, into codes of how they sound."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from anyascii import anyascii
from doublemetaphone import doublemetaphone
from nicknames import name_triplets

from schemas.parts import PersonName
from silenthit.identity.frequencies import given_frequency

SUFFIXES = frozenset("jr sr ii iii iv v esq md phd junior senior jnr snr dds".split())
TITLES = frozenset(
    "mr mrs ms miss dr prof sir dame rev fr hon officer det sgt president sheikh shaikh sheik haji"
    " hajji mullah maulvi mawlawi don dona".split()
)
PARTICLES = frozenset(
    "al el ul bin ibn ben bint abu de del della di da dos das do du des la las le los van von der"
    " den ter ten zu zum zur st saint san santa mac mc o ou y e na".split()
)
LONGEST = 300  # letters of a name that are looked at
_ORDINALS = {"2nd": "ii", "3rd": "iii", "4th": "iv", "5th": "v"}
_ORDINAL = re.compile(r"\b(2nd|3rd|4th|5th)\b")
# Written by people who dodge a word list, or by a worn key: Ig0r, M1chael.
_DIGIT_IN_WORD = re.compile(r"(?<=[a-z])[0134578](?=[a-z]|$|\s)|(?<=\b)[0134578](?=[a-z]{2})")
_LETTER_FOR = dict(zip("0134578", "oieastb", strict=True))
# Joined to what follows before a name is cut into words: Mc Donald, O' Brien.
_JOINED = re.compile(r"\b(mc|mac|o)[\s']+(?=[a-z]{3})")


@dataclass(frozen=True, slots=True)
class NameParts:
    """A name in plain lower-case words; the repr hides them."""

    given: tuple[str, ...] = ()
    surname: tuple[str, ...] = ()
    suffix: str = ""

    def __repr__(self) -> str:
        return "NameParts()"


def name(text: str) -> str:
    """A name in plain lower-case words, the order kept, titles and quoted street names dropped.

    Equal for "O'Brien" and "OBRIEN", "José" and "jose", "al-Assad" and "Al Assad", "Дмитрий" and
    "dmitrij" only where the transliteration (anyascii) says so.
    """
    return _plain(text[:LONGEST])  # so that nothing long is remembered


@lru_cache(maxsize=16384)
def _plain(text: str) -> str:
    plain = text if text.isascii() else anyascii(text)
    plain = plain[:LONGEST]
    if plain.isalpha():  # as most are: one word, and nothing to take off
        return plain.lower()
    plain = re.sub(r"\(.*?\)|\"[^\"]*\"|(?<!\w)'[^']+'(?!\w)", " ", plain.lower())
    plain = _ORDINAL.sub(lambda found: f" {_ORDINALS[found[1]]} ", plain)
    plain = _DIGIT_IN_WORD.sub(lambda found: _LETTER_FOR[found[0]], plain)
    plain = _JOINED.sub(r"\1", plain)
    plain = re.sub(r"['`.]", "", plain)
    words = [word for word in re.split(r"[^a-z]+", plain) if word]
    while len(words) > 1 and words[0] in TITLES:
        words = words[1:]
    joined = " ".join(words)
    return joined if joined == text else _plain(joined)  # what was joined may join again


def street_name(text: str) -> str:
    """A street name: letters and digits of one word, "Lil' Red" and "LIL RED" are "lilred"."""
    return re.sub(r"[^a-z0-9]", "", (text if text.isascii() else anyascii(text)).lower())


def parse_full(text: str) -> NameParts:
    """Cut a whole name: "Doe, John M. Jr." and "John M Doe Jr" have the same parts.

    Without a comma the last word is the surname, with the particles in front of it and, after two
    given names or more, the first half of a double Spanish surname is left to the given names.
    """
    return _cut(text[:LONGEST])


@lru_cache(maxsize=16384)
def _cut(text: str) -> NameParts:
    head, comma, tail = text.partition(",")
    if comma and name(tail) and not set(name(tail).split()) <= SUFFIXES:
        given, suffix_a = _without_suffix(name(tail).split())
        surname, suffix_b = _without_suffix(name(head).split())
        return NameParts(tuple(given), tuple(surname), suffix_a or suffix_b)
    words, suffix = _without_suffix(name(text).split())
    cut = len(words) - 1
    while cut > 1 and words[cut - 1] in PARTICLES:
        cut -= 1
    return NameParts(tuple(words[:cut]), tuple(words[cut:]), suffix)


def parse(written: PersonName) -> NameParts:
    """Parts of a name from its fields, from `full` where the fields are empty."""
    if not written.surname and not written.given:
        return parse_full(written.full)
    given, suffix_a = _without_suffix(name(f"{written.given} {written.middle}").split())
    surname, suffix_b = _without_suffix(name(written.surname).split())
    suffix = re.sub(r"[^a-z]", "", written.suffix.lower()) or suffix_a or suffix_b
    return NameParts(tuple(given), tuple(surname), suffix)


def _without_suffix(words: list[str]) -> tuple[list[str], str]:
    suffix = ""
    while len(words) > 1 and words[-1] in SUFFIXES:
        words, suffix = words[:-1], words[-1]
    return words, suffix


@cache
def _formal_names() -> dict[str, frozenset[str]]:
    """Nickname → names that it may be short for, from the `nicknames` package."""
    formal: dict[str, set[str]] = {}
    for triplet in name_triplets():
        formal.setdefault(triplet.name2, set()).add(triplet.name1)
    return {short: frozenset(names) for short, names in formal.items()}


def formal_names(given: str) -> frozenset[str]:
    """Names that a given name may be short for: "bill" may be "william" and others."""
    return _formal_names().get(given, frozenset())


@lru_cache(maxsize=16384)
def formal_name(given: str) -> str:
    """The one name that a given name is most likely short for, mostly itself.

    "bill" and "william" are both "william". A nickname stands for a name clearly more common than
    itself, one that contains most of its letters in a row where there is such.
    """
    own = 1.4 * given_frequency(given)
    likely = [each for each in formal_names(given) if given_frequency(each) > own]
    if not likely:
        return given
    return max(likely, key=lambda each: (_shares_most(given, each), given_frequency(each), each))


def _shares_most(short: str, whole: str) -> bool:
    size = (len(short) + 1) // 2
    return any(short[i : i + size] in whole for i in range(len(short) - size + 1))


@lru_cache(maxsize=16384)
def sound(word: str) -> str:
    """How a word sounds: its Double Metaphone code, the word itself where that is empty."""
    return doublemetaphone(word)[0] or word.upper()


def start(word: str) -> str:
    """The first three letters, which most misspellings leave alone."""
    return word[:3]
