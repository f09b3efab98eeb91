"""How likely two whole names, written in any script and order, are meant for one person.

    >>> names_alike("Сергей Лавров", "Lavrov, Sergey") > 0.5
    True

For names whose parts are not known to be given name or surname; with the parts known, `levels`
compares them one by one. The weights in `data/names_alike.json` are fitted, and cross-validated, by
`benchmarks/identity/name_pairs.py`.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from math import exp

from rapidfuzz.distance import OSA, JaroWinkler, Levenshtein

from silenthit.identity.names import (
    LONGEST,
    PARTICLES,
    SUFFIXES,
    formal_name,
    formal_names,
    name,
    sound,
)

FEATURES = (
    "constant", "edits", "slips", "many_slips", "unlike", "extra_short", "extra_long", "whole",
    "sound", "nickname", "initial", "crossed", "ideograph",
)  # fmt: skip

_CJK = re.compile(r"[\u3400-\u9fff\uac00-\ud7af]")
_MOST_WORDS = 12  # every word is held against every other
_LIKE = 0.62  # below this, two words are not the same word misspelled


@lru_cache(maxsize=8192)
def _words(text: str) -> tuple[str, ...]:
    """Words of a name, given names first, particles and suffixes dropped, "JC" as two initials."""
    if "," in text:
        surname, _, rest = text.partition(",")
        text = f"{rest} {surname}"
    elif not re.search(r"\s", text.strip()):
        text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    text = re.sub(r"\b([B-DF-HJ-NP-TV-XZ])([B-DF-HJ-NP-TV-XZ])(?=\s)", r"\1 \2", text)
    words = [word for word in name(text).split() if word not in SUFFIXES]
    kept = [word for word in words if word not in PARTICLES]
    return tuple((kept or words)[:_MOST_WORDS])


@lru_cache(maxsize=32768)
def _word_likeness(a: str, b: str) -> tuple[float, str]:
    """Likeness of two words in 0…1, and in what way they are alike."""
    if a == b:
        return 1.0, "same"
    if len(a) == 1 or len(b) == 1:
        return (0.8, "initial") if a[0] == b[0] else (0.0, "unlike")
    likeness = 1 - OSA.distance(a, b) / max(len(a), len(b))
    likeness = max(likeness, 0.8 * JaroWinkler.similarity(a, b))
    if sound(a) == sound(b) and len(sound(a)) > 1:
        return max(likeness, 0.85), "sound"
    if formal_name(a) == formal_name(b) or a in formal_names(b) or b in formal_names(a):
        return max(likeness, 0.85), "nickname"
    return likeness, "spelling"


def _aligned(a: tuple[str, ...], b: tuple[str, ...]) -> list[tuple[int, int]]:
    """Pair words greedily, likest first, by their places in the two names."""
    likeness = sorted(
        (-_word_likeness(x, y)[0], abs(i - j), i, j)
        for i, x in enumerate(a)
        for j, y in enumerate(b)
    )
    matched: list[tuple[int, int]] = []
    for unlike, _, i, j in likeness:
        taken = any(i == other or j == another for other, another in matched)
        if not taken and -unlike >= _LIKE:
            matched.append((i, j))
    return sorted(matched)


def features(one: str, other: str) -> list[float]:
    """Numbers that tell names of one person from those of two, in the order of FEATURES."""
    a, b = _words(one[:LONGEST]), _words(other[:LONGEST])
    if not a or not b:
        return [1.0, *[0.0] * (len(FEATURES) - 1)]
    if len(a) > len(b):
        a, b = b, a
    matched = _aligned(a, b)
    outcomes = [_word_likeness(a[i], b[j]) for i, j in matched]
    ways = [how for _, how in outcomes]
    slips = sum(
        OSA.distance(a[i], b[j])
        for (i, j), how in zip(matched, ways, strict=True)
        if how in ("spelling", "sound")
    )
    left_a, left_b = len(a) - len(matched), len(b) - len(matched)
    whole = Levenshtein.normalized_similarity("".join(sorted(a)), "".join(sorted(b)))
    plain = Levenshtein.normalized_similarity("".join(a), "".join(b))
    places = [j for _, j in matched]
    crossed = len(places) > 2 and places != sorted(places) and places[-1] == max(places)
    ideographs = bool(_CJK.search(one) and _CJK.search(other)) and one.strip() != other.strip()
    return [
        1.0,
        sum(1 - likeness for likeness, _ in outcomes),
        min(slips, 5.0),
        float(slips > 2),
        min(left_a, 2.0),
        float(left_a > 0 and left_b > 0),
        min(len(b) - len(a), 3.0),
        max(whole, plain),
        float(ways.count("sound")),
        float("nickname" in ways),
        float("initial" in ways),
        float(crossed),
        float(ideographs),
    ]


@cache
def _weights() -> tuple[float, ...]:
    file = files("silenthit.identity").joinpath("data", "names_alike.json")
    return tuple(json.loads(file.read_text("utf-8"))[feature] for feature in FEATURES)


def names_alike(one: str, other: str) -> float:
    """Probability that two whole names are of one person, other things being even; 0 if none."""
    if not _words(one[:LONGEST]) or not _words(other[:LONGEST]):
        return 0.0
    score = sum(
        weight * value for weight, value in zip(_weights(), features(one, other), strict=True)
    )
    return 1 / (1 + exp(-max(-50.0, min(50.0, score))))
