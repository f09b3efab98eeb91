"""The network: who and what one's own opened alerts show together, as nodes and links.

    found = network_of("Blue Heron 1", seen)      # seen: what `sightings` read from the vault
    found.nodes[0].kind, found.links[0].touches

It says only what the records say: a link is one or more touches that name both ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations

from consumers.associations import kind_word
from consumers.network_people import People
from consumers.opened_alerts import OpenedAlert, read_opened
from consumers.times import from_ms
from consumers.vault import ALERTS, Rows
from consumers.watch_tree import tree
from schemas.messages import AlertStatus
from schemas.parts import Identifier, Subject
from schemas.vocabulary import IdentifierKind
from silenthit.identity.compare import Decision
from silenthit.identity.match_keys import match_keys
from silenthit.identity.normalise import identifier as normal

_NODE_KINDS = {
    IdentifierKind.PLATE: "car",
    IdentifierKind.VIN: "car",
    IdentifierKind.SOCIAL_HANDLE: "handle",
    IdentifierKind.ADDRESS: "place",
    IdentifierKind.PHONE: "phone",
    IdentifierKind.EMAIL: "email",
    IdentifierKind.DEVICE: "device",
    IdentifierKind.PAYMENT: "payment",
}
KINDS = ("person", *dict.fromkeys(_NODE_KINDS.values()))
SAME_TOUCH, TIED, AT = "in the same touch", "given for the person", "where it was"
_MOST_TOGETHER = 8  # people of one touch who are linked one with another: beyond, it is a crowd


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """An alert of the tree of a watch, opened."""

    record: bytes
    opened: OpenedAlert = field(repr=False)
    step: int  # from the watch that was placed
    at: datetime  # when it happened, else when the exchange had it


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """Somebody or something."""

    id: str
    kind: str  # of KINDS
    label: str = field(repr=False)
    step: int  # the least at which it was met
    watched: bool = False  # triage called it a hit
    first: datetime
    last: datetime
    touches: int
    identifier: Identifier | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Touched:
    """A touch that a link rests on."""

    record_number: str
    agency: str
    kind: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """Two that touches name together."""

    ends: tuple[str, str]
    how: str
    touches: tuple[Touched, ...] = field(repr=False)

    @property
    def first(self) -> datetime:
        """When the earliest was."""
        return min(each.at for each in self.touches)

    @property
    def last(self) -> datetime:
        """When the latest was."""
        return max(each.at for each in self.touches)


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """What there is to draw."""

    label: str
    nodes: tuple[Node, ...] = field(repr=False)
    links: tuple[Link, ...] = field(repr=False)


def sightings(rows: Rows, watch_id: bytes, *, discarded: bool = False) -> Iterator[Sighting]:
    """Yield the standing alerts of a watch and what was followed from it, a record once.

    Of several on a record, that of the fewest steps; triage's discards only if asked for. What
    came before a phone turned out to be half the town's is left out with it.
    """
    seen: set[bytes] = set()
    let_go: set[bytes] = set()
    for each in tree(rows, watch_id):
        association = each.watch.association
        if each.row["parent_id"] in let_go or (association and association.let_go):
            let_go.add(each.row["id"])
            continue
        own = (ALERTS.c.watch_id == each.row["id"], ALERTS.c.status == AlertStatus.ACTIVE)
        for row in sorted(rows.find(ALERTS, *own), key=lambda row: (row["appended_at"], row["id"])):
            opened = read_opened(row)
            wanted = opened is not None and (discarded or opened.decision is not Decision.DISCARDED)
            if opened is None or not wanted or row["record_id"] in seen:
                continue
            seen.add(row["record_id"])
            at = opened.occurred_at or from_ms(row["appended_at"])
            yield Sighting(record=row["record_id"], opened=opened, step=each.step, at=at)


def network_of(label: str, seen: Iterable[Sighting]) -> Network:
    """Put sightings together: whom several records name is one node."""
    found = list(seen)
    people = People.of(found)
    drawing = _Drawing()
    for each in found:
        _draw(drawing, each, people)
    return drawing.network(label)


@dataclass(slots=True)
class _Drawing:
    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[tuple[str, str, str], list[Touched]] = field(default_factory=dict)

    def node(self, fresh: Node) -> str:
        old = self.nodes.get(fresh.id)
        if old is not None:
            fresh = Node(
                id=old.id,
                kind=old.kind,
                label=max(old.label, fresh.label, key=len),
                step=min(old.step, fresh.step),
                watched=old.watched or fresh.watched,
                first=min(old.first, fresh.first),
                last=max(old.last, fresh.last),
                touches=old.touches + 1,
                identifier=old.identifier,
            )
        self.nodes[fresh.id] = fresh
        return fresh.id

    def link(self, one: str, other: str, how: str, touched: Touched) -> None:
        low, high = sorted((one, other))
        if low != high:
            self.links.setdefault((low, high, how), []).append(touched)

    def network(self, label: str) -> Network:
        order = {kind: number for number, kind in enumerate(KINDS)}
        nodes = sorted(self.nodes.values(), key=lambda n: (order[n.kind], n.step, n.id))
        links = (
            Link(ends=(a, b), how=how, touches=tuple(sorted(on, key=lambda t: t.at)))
            for (a, b, how), on in sorted(self.links.items())
        )
        return Network(label=label, nodes=tuple(nodes), links=tuple(links))


def _draw(drawing: _Drawing, each: Sighting, people: People) -> None:
    opened, common = each.opened, each.opened.common
    touched = Touched(
        record_number=common.record_number if common else "",
        agency=opened.agency,
        kind=opened.kind.replace("_", " "),
        at=each.at,
    )
    there = []
    for number, subject in sorted(opened.subjects.items()):
        person = drawing.node(_person(each, number, subject, people))
        there.append(person)
        for item in dict.fromkeys(subject.identifiers):
            _tie(drawing, each, item, people=[person], how=TIED, touched=touched)
    for item in dict.fromkeys(common.items if common else ()):
        _tie(drawing, each, item, people=there, how=SAME_TOUCH, touched=touched)
    if common and common.place.strip():
        place = Identifier(kind=IdentifierKind.ADDRESS, value=common.place)
        _tie(drawing, each, place, people=there, how=AT, touched=touched)
    if len(there) <= _MOST_TOGETHER:
        for one, other in combinations(there, 2):
            drawing.link(one, other, SAME_TOUCH, touched)


def _tie(
    drawing: _Drawing,
    each: Sighting,
    item: Identifier,
    *,
    people: list[str],
    how: str,
    touched: Touched,
) -> None:
    """Link what a touch names with its people."""
    kind = _NODE_KINDS.get(item.kind)
    if kind is None:
        return
    keys = match_keys(Subject(identifiers=(item,)))
    value = next((key.value for key in keys if key.kind.name == item.kind.name), "")
    told = f"{item.issuer} {item.value}".strip()
    node = Node(
        id=f"{item.kind.value}:{value or normal(item) or told.casefold()}",
        kind=kind,
        label=told if kind != "handle" else f"{item.value} ({item.issuer or kind_word(item.kind)})",
        step=each.step,
        first=each.at,
        last=each.at,
        touches=1,
        identifier=item,
    )
    for person in people:
        drawing.link(person, drawing.node(node) if person is people[0] else node.id, how, touched)


def _person(each: Sighting, number: int, subject: Subject, people: People) -> Node:
    verdict = each.opened.verdict
    hit = verdict is not None and verdict.decision is Decision.HIT
    return Node(
        id=people.id_of(each.record, number),
        kind="person",
        label=name_of(subject),
        step=each.step,
        watched=hit and verdict is not None and verdict.touch_subject == number,
        first=each.at,
        last=each.at,
        touches=1,
    )


def name_of(subject: Subject) -> str:
    """Return what a person is called, by the first name that is written."""
    for name in subject.names:
        words = (name.given, name.middle, name.surname, name.suffix)
        text = name.full or " ".join(filter(None, words))
        if text:
            return text
    return f"{subject.role.value}, no name" if subject.role.value != "unknown" else "no name"
