"""Compare what a principal saw with a watch and without it, field by field.

A field is exact unless a mask names it; every mask says why it may differ, and none may cover what
depends on a watch.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.noninterference.observed import Fields


@dataclass(frozen=True)
class Mask:
    """Fields whose paths match may differ in value, never in being there."""

    path: str
    reason: str

    def covers(self, path: str) -> bool:
        return re.fullmatch(self.path, path) is not None


MASKS = (
    Mask(r"metadata/cluster_id", "each run has a cluster of its own"),
    Mask(r"metadata/brokers/\d+/port", "a free port of the machine"),
    Mask(r"metadata/origin_broker", "which connection answered first"),
    Mask(r"asked/.*/offsets/\d+/max_timestamp/time", "broker time of the run"),
    Mask(r"(messages|after)/.*/timestamp", "broker time of the run"),
    Mask(r"messages/alerts\..*/key", "hash of a random registration id"),
    Mask(r"messages/deconflictions\..*/key", "hash of random registration ids"),
    Mask(r"(messages|after)/answers\..*/key", "random id of the question"),
    Mask(r"(messages|after)/answers\..*/value/bytes", "sealed under fresh keys"),
    Mask(r"messages/alerts\..*/value/(alert_id|registration_id)", "from a random registration id"),
    Mask(r"messages/alerts\..*/value/appended_at", "broker time of the run"),
    Mask(r"messages/alerts\..*/value/(locks|grants|parts/\d+)", "sealed under fresh keys"),
    Mask(r"messages/touches/.*/value/.*", "sealed under fresh keys"),
    Mask(r"output/.*/(seconds|time)", "clock of the run"),
)


@dataclass(frozen=True)
class Comparison:
    """How two observations of one principal compare."""

    fields: int
    size: int  # bytes of values compared
    masked: Counter[str]  # fields by the reason they were masked for
    differences: tuple[str, ...]


def compare(without: Fields, with_watch: Fields) -> Comparison:
    """Return where they differ: fields that one lacks, and unmasked values that are not equal."""
    differences = [f"only without: {path}" for path in without.keys() - with_watch.keys()]
    differences += [f"only with: {path}" for path in with_watch.keys() - without.keys()]
    masked: Counter[str] = Counter()
    size = 0
    for path in without.keys() & with_watch.keys():
        mask = next((mask for mask in MASKS if mask.covers(path)), None)
        if mask is not None:
            masked[mask.reason] += 1
            continue
        size += _size(without[path])
        if without[path] != with_watch[path]:
            differences.append(f"{path}: {without[path]!r} without, {with_watch[path]!r} with")
    compared = len(without.keys() & with_watch.keys()) - masked.total()
    return Comparison(compared, size, masked, tuple(sorted(differences)))


def _size(value: Any) -> int:
    return len(str(value).encode())
