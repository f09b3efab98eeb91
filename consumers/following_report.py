"""What following came to: each followed watch, and who was reached, by which step and by what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from consumers.associations import WARNING, kind_word
from consumers.network import Sighting, name_of, sightings
from consumers.network_people import People
from consumers.times import from_ms, iso
from consumers.vault import ALERTS, Rows
from consumers.watch_tree import Branch, tree
from schemas.messages import AlertStatus
from silenthit.identity.compare import Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """A person who is not the one watched, by the fewest steps."""

    person: str
    name: str = field(repr=False)
    step: int  # 0: in a touch of the one watched
    through: str  # what was followed; nothing at step 0
    first: datetime
    records: tuple[str, ...] = field(repr=False)


def reached(seen: Iterable[Sighting]) -> list[Reached]:
    """Return who was met beside the one watched, the nearest first.

    At a step from 1 on it is who carried what was followed; others in that touch come with it only
    as far as the record ties them to the same thing.
    """
    found = list(seen)
    people = People.of(found)
    watched = {
        people.id_of(each.record, each.opened.verdict.touch_subject)
        for each in found
        if each.step == 0 and each.opened.verdict and each.opened.decision is Decision.HIT
    }
    met: dict[str, Reached] = {}
    for each in sorted(found, key=lambda one: (one.step, one.at)):
        for number in _met(each):
            person = people.id_of(each.record, number)
            if person in watched:
                continue
            fresh = _reached(each, number, person)
            old = met.get(person)
            records = (*old.records, *fresh.records) if old else fresh.records
            met[person] = _with(old or fresh, records)
    return sorted(met.values(), key=lambda one: (one.step, one.first, one.person))


def _met(each: Sighting) -> list[int]:
    if each.step == 0:
        return sorted(each.opened.subjects)
    return [number for number in each.opened.matched if number in each.opened.subjects]


def _reached(each: Sighting, number: int, person: str) -> Reached:
    association, common = each.opened.association, each.opened.common
    return Reached(
        person=person,
        name=name_of(each.opened.subjects[number]),
        step=each.step,
        through=kind_word(association.kind) if association else "",
        first=each.at,
        records=(common.record_number,) if common else (),
    )


def _with(old: Reached, records: tuple[str, ...]) -> Reached:
    return Reached(
        person=old.person,
        name=old.name,
        step=old.step,
        through=old.through,
        first=old.first,
        records=tuple(dict.fromkeys(records)),
    )


def report(rows: Rows, watch_id: bytes) -> dict[str, Any]:
    """Return what was followed from a watch and who was reached, for `--json`."""
    whole = list(tree(rows, watch_id))
    return {
        "watch_id": watch_id.hex(),
        "label": whole[0].watch.label,
        "policy": whole[0].watch.follow.model_dump(mode="json") if whole[0].watch.follow else None,
        "followed": [_followed(rows, each) for each in whole[1:]],
        "reached": [
            {
                "person": each.person,
                "name": each.name,
                "step": each.step,
                "through": each.through or None,
                "first": iso(each.first),
                "records": list(each.records),
            }
            for each in reached(sightings(rows, watch_id))
        ],
        "warning": WARNING,
    }


def _followed(rows: Rows, each: Branch) -> dict[str, Any]:
    association = each.watch.association
    standing = (ALERTS.c.watch_id == each.row["id"], ALERTS.c.status == AlertStatus.ACTIVE)
    held = [one for subject in each.watch.subjects for one in subject.identifiers]
    return {
        "watch_id": each.row["id"].hex(),
        "label": each.watch.label,
        "step": each.step,
        "kind": kind_word(association.kind) if association else None,
        "value": held[0].value if held else None,
        "from_alert": association.alert_id if association else None,
        "seen_at": iso(association.seen_at) if association and association.seen_at else None,
        "expires_at": iso(each.watch.expires_at),
        "removed_at": None if each.stands else iso(from_ms(each.row["removed_at"])),
        "let_go": (association.let_go or None) if association else None,
        "alerts": rows.count(ALERTS, *standing),
    }
