"""The match rule over match keys in the open: blinding changes no equality, so it is left out."""

from __future__ import annotations

import calendar
import hashlib
import multiprocessing
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.identity import febrl
from schemas.parts import Identifier, Subject
from schemas.vocabulary import IdentifierKind
from silenthit.identity.estimate import kinds_satisfy
from silenthit.identity.match_keys import MatchKey, match_keys

_NEVER_ISSUED = 666


def digest(key: MatchKey) -> int:
    """Stand for a token: 64 bits of a hash of kind and value."""
    framed = f"{key.kind.value} {key.value}".encode()
    return int.from_bytes(hashlib.blake2b(framed, digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class Index:
    """Sorted digests of many watches' match keys, and whose each is."""

    digests: NDArray[np.uint64]
    owners: NDArray[np.uint32]
    watches: int

    def candidates(self, keys: Sequence[MatchKey]) -> dict[int, list[MatchKey]]:
        """Watches that satisfy the match rule with a touch's subject, and by which keys."""
        shared = self.sharing(keys)
        return {owner: common for owner, common in shared.items() if satisfied(common)}

    def sharing(self, keys: Sequence[MatchKey]) -> dict[int, list[MatchKey]]:
        """Watches that share any match key with a touch's subject, and which."""
        wanted = np.array([digest(key) for key in keys], dtype=np.uint64)
        low = np.searchsorted(self.digests, wanted, "left")
        high = np.searchsorted(self.digests, wanted, "right")
        common: dict[int, list[MatchKey]] = defaultdict(list)
        for key, start, end in zip(keys, low, high, strict=True):
            for owner in self.owners[start:end]:
                common[int(owner)].append(key)
        return common


def satisfied(shared: Sequence[MatchKey]) -> bool:
    """The match rule: one strong key, or two weak ones of disjoint fields."""
    return kinds_satisfy([key.kind for key in shared])


def index(keys_of_watches: Iterable[Sequence[MatchKey]]) -> Index:
    """Index watches given by their match keys, numbered in order."""
    digests: list[int] = []
    owners: list[int] = []
    number = -1
    for number, keys in enumerate(keys_of_watches):
        digests += [digest(key) for key in keys]
        owners += [number] * len(keys)
    return _sorted(np.array(digests, np.uint64), np.array(owners, np.uint32), number + 1)


def _sorted(digests: NDArray[np.uint64], owners: NDArray[np.uint32], watches: int) -> Index:
    order = np.argsort(digests, kind="stable")
    return Index(digests[order], owners[order], watches)


def synthetic_index(links: febrl.Links, watches: int, *, seed: int = 1) -> Index:
    """Index synthetic watches, each field drawn by itself from the watched file's own values.

    Drawn fields keep the file's frequencies and gaps, its common names included. Birth dates are
    drawn over the file's whole span and SSNs over all that can be issued: repeating the file's
    5,000 would make strangers share numbers that people do not share.
    """
    columns = {
        name: [row[name] for row in links.watched.values()]
        for name in next(iter(links.watched.values()))
    }
    with multiprocessing.get_context("fork").Pool() as pool:
        size = 20_000
        jobs = [
            (columns, start, min(size, watches - start), seed + start)
            for start in range(0, watches, size)
        ]
        parts = pool.starmap(_synthetic_part, jobs)
    return _sorted(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        watches,
    )


def _synthetic_part(
    columns: dict[str, list[str]], start: int, count: int, seed: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    draw = random.Random(seed)
    digests: list[int] = []
    owners: list[int] = []
    for number in range(start, start + count):
        keys = match_keys(_synthetic(columns, draw))
        digests += [digest(key) for key in keys]
        owners += [number] * len(keys)
    return np.array(digests, np.uint64), np.array(owners, np.uint32)


def _synthetic(columns: dict[str, list[str]], draw: random.Random) -> Subject:
    row = {name: draw.choice(values) for name, values in columns.items()}
    if row["date_of_birth"]:
        row["date_of_birth"] = f"{draw.randint(1900, 1999)}{_day(draw)}"
    person = febrl.subject(row, with_ssn=False)
    area = draw.randint(1, 899)
    area = area if area != _NEVER_ISSUED else 1
    number = f"{area:03}{draw.randint(1, 99):02}{draw.randint(1, 9999):04}"
    ssn = Identifier(kind=IdentifierKind.SSN, value=number)
    return person.model_copy(update={"identifiers": (*person.identifiers, ssn)})


def _day(draw: random.Random) -> str:
    month = draw.randint(1, 12)
    return f"{month:02}{draw.randint(1, calendar.monthrange(1999, month)[1]):02}"
