"""How much of labelled narratives the reader finds, and how much of what it finds is right."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from producers.narrative import read_narrative
from schemas.parts import Identifier
from schemas.vocabulary import IdentifierKind, NameKind
from silenthit.identity.names import name as plain_name
from silenthit.identity.normalise import identifier, street_name

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "narratives"
_LABEL = re.compile(r"\[([nkpelh]):([^\]]+)\]")
_KINDS = {
    "p": IdentifierKind.PHONE,
    "e": IdentifierKind.EMAIL,
    "l": IdentifierKind.PLATE,
    "h": IdentifierKind.SOCIAL_HANDLE,
}
_COUNTED = frozenset(_KINDS.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """A narrative, and what a reader should find in it, normalised."""

    title: str
    text: str
    names: frozenset[str]
    identifiers: frozenset[tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Over a file: names with street names, then phones, e-mails, plates and handles."""

    names_precision: float
    names_recall: float
    identifiers_f1: float
    mistakes: list[str] = field(default_factory=list)


def load(file: str) -> list[Labelled]:
    """Read "tuned.txt" or "kept_aside.txt": `= title` lines, then text with labels in it."""
    pieces = re.split(r"(?m)^= (.+)$", (FOLDER / file).read_text("utf-8"))[1:]
    return [_labelled(*pair) for pair in zip(pieces[::2], pieces[1::2], strict=True)]


def _labelled(title: str, marked: str) -> Labelled:
    names, identifiers = set(), set()
    for label, value in _LABEL.findall(marked):
        if label in "nk":
            names.add(_name(value) if label == "n" else f"street {street_name(value)}")
            if inside := re.search(r"\"([^\"]+)\"", value):
                names.add(f"street {street_name(inside[1])}")
        else:
            identifiers.add(_value(Identifier(kind=_KINDS[label], value=value)))
    text = _LABEL.sub(lambda match: match[2], marked).strip()
    return Labelled(
        title=title, text=text, names=frozenset(names), identifiers=frozenset(identifiers)
    )


def _name(text: str) -> str:
    """Words of a name in one order, without a street name inside."""
    return " ".join(sorted(plain_name(re.sub(r"\"[^\"]*\"", " ", text)).split()))


def _value(written: Identifier) -> tuple[str, str]:
    value = identifier(written)
    return str(written.kind), value.rpartition(":")[2] if ":" in value else value


def read(text: str) -> tuple[set[str], set[tuple[str, str]]]:
    """Names (street names with a mark) and identifiers that the reader finds."""
    reading = read_narrative(text)
    names = set()
    for subject in reading.subjects:
        for each in subject.names:
            street = each.kind is NameKind.STREET_NAME
            names.add(f"street {street_name(each.full)}" if street else _name(each.full))
    return names, {_value(each) for each in reading.items if each.kind in _COUNTED}


def measure(file: str) -> Scores:
    """Count over all narratives of a file."""
    counts: Counter[str] = Counter()
    mistakes = []
    for each in load(file):
        names, identifiers = read(each.text)
        counts["names right"] += len(names & each.names)
        counts["names said"] += len(names)
        counts["names true"] += len(each.names)
        counts["ids right"] += len(identifiers & each.identifiers)
        counts["ids said"] += len(identifiers)
        counts["ids true"] += len(each.identifiers)
        missed = [*(each.names - names), *(each.identifiers - identifiers)]
        wrong = [*(names - each.names), *(identifiers - each.identifiers)]
        if missed or wrong:
            mistakes.append(f"{each.title}: missed {missed}, wrong {wrong}")
    return Scores(
        names_precision=counts["names right"] / max(1, counts["names said"]),
        names_recall=counts["names right"] / max(1, counts["names true"]),
        identifiers_f1=2 * counts["ids right"] / max(1, counts["ids said"] + counts["ids true"]),
        mistakes=mistakes,
    )
