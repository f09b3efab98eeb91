"""The picture: what records name together, drawn alike each time, safe to open and to hand on."""

from __future__ import annotations

import csv
import io
import json
import random
import xml.etree.ElementTree as ET
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pytest

from consumers.associations import WARNING
from consumers.network import Network, Sighting, network_of
from consumers.network_files import as_csv, as_graphml
from consumers.network_layout import placed
from consumers.network_page import page
from consumers.opened_alerts import OpenedAlert
from consumers.triage import Verdict
from schemas.parts import ContactCard, Identifier, PersonName, Subject, TouchCommon
from schemas.vocabulary import CoarseKind, IdentifierKind, SubjectRole, TouchKind
from silenthit.identity.compare import Decision
from tests.partner_room import NOW

GIVEN = ("Ana", "Boris", "Carla", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas")
SURNAMES = ("Quillfeather", "Oxenbrook", "Tanglewood", "Marrowby", "Fenwhistle", "Harkaway")


def item(kind: IdentifierKind, value: str, issuer: str = "") -> Identifier:
    return Identifier(kind=kind, value=value, issuer=issuer)


def person(number: int, *identifiers: Identifier, name: str = "") -> Subject:
    surname = f"{SURNAMES[number % len(SURNAMES)]}{'aeiou'[number % 5]}{'klmnr'[number // 5 % 5]}"
    full = (
        PersonName(full=name)
        if name
        else PersonName(surname=surname, given=GIVEN[number % len(GIVEN)])
    )
    return Subject(
        role=SubjectRole.SUSPECT,
        names=(full,),
        birth_dates=(f"{1960 + number % 40}-{1 + number % 12:02d}-{1 + number % 28:02d}",),
        identifiers=identifiers,
    )


def sighting(
    record: str,
    *subjects: Subject,
    day: int = 0,
    step: int = 0,
    place: str = "",
    items: tuple[Identifier, ...] = (),
) -> Sighting:
    decision = Decision.POSSIBLE if step else Decision.HIT
    opened = OpenedAlert(
        label="Blue Heron 1",
        sender="CT0006400#1",
        coarse_kind=CoarseKind.CONTACT,
        card=ContactCard(ori="CT0006400", agency="Hartford PD"),
        common=TouchCommon(
            record_number=record,
            kind=TouchKind.TRAFFIC_STOP,
            place=place,
            occurred_at=NOW + timedelta(days=day),
            items=items,
        ),
        subjects=dict(enumerate(subjects)),
        matched=(0,),
        match_kinds=("phone",),
        verdict=Verdict(
            decision=decision,
            probability=0.9,
            weight=1.0,
            reasons=(),
            touch_subject=0,
            watch_subject=0,
        ),
    )
    at = NOW + timedelta(days=day)
    return Sighting(record=sha256(record.encode()).digest()[:16], opened=opened, step=step, at=at)


def town(size: int) -> list[Sighting]:
    """Records until they name so many people and things: few are met often, many once."""
    chance, found, names = random.Random(5), list[Sighting](), set[str]()
    while len(names) < size:
        known = len(found) + 1
        who = [
            known,
            *(chance.randrange(max(1, known // 2)) for _ in range(chance.choice((0, 0, 1, 2)))),
        ]
        subjects = []
        for each in dict.fromkeys(who):
            held = [item(IdentifierKind.PHONE, f"203-555-{each % size:04d}")]
            if each % 3 == 0:
                held.append(item(IdentifierKind.PLATE, f"AB{each % size:05d}", "CT"))
            if each % 5 == 0:
                held.append(item(IdentifierKind.SOCIAL_HANDLE, f"red.{each}", "instagram"))
            subjects.append(person(each, *held))
        number = len(found)
        place = f"{number % 40} Elm St" if number % 4 == 0 else ""
        found.append(
            sighting(
                f"H-{number}", *subjects, day=-(number % 300), place=place, step=min(number % 4, 2)
            )
        )
        names = {node.id for node in network_of("x", found).nodes} if number % 10 == 0 else names
    return found


def small() -> Network:
    one = person(
        0, item(IdentifierKind.PHONE, "203-555-0142"), item(IdentifierKind.PLATE, "AB12345", "CT")
    )
    return network_of(
        "Blue Heron 1",
        [
            sighting("H-1", one, person(1), day=-9, place="12 Elm St"),
            sighting("H-2", one, day=-2, items=(item(IdentifierKind.EMAIL, "a@b.example"),)),
            sighting("H-3", person(2, item(IdentifierKind.PHONE, "(203) 555-0142")), step=1),
        ],
    )


def test_who_several_records_name_is_one_and_a_link_counts_its_touches() -> None:
    found = small()
    by_kind = {kind: [n for n in found.nodes if n.kind == kind] for kind in ("person", "phone")}
    assert len(by_kind["person"]) == 3
    (phone,) = by_kind["phone"]
    assert (phone.touches, phone.step) == (3, 0)
    watched = [n for n in by_kind["person"] if n.watched]
    assert [n.touches for n in watched] == [2]
    tied = [link for link in found.links if phone.id in link.ends]
    assert sorted(len(link.touches) for link in tied) == [1, 2]
    (own,) = (link for link in tied if watched[0].id in link.ends)
    assert [each.record_number for each in own.touches] == ["H-1", "H-2"]
    assert (own.first, own.last) == (NOW - timedelta(days=9), NOW - timedelta(days=2))


def test_two_of_one_name_and_other_birth_dates_stay_two() -> None:
    name = "Robin Quillfeather"
    found = network_of(
        "x", [sighting("1", person(1, name=name)), sighting("2", person(9, name=name), step=1)]
    )
    assert len(found.nodes) == 2


@pytest.mark.slow
def test_five_hundred_nodes_have_places_of_their_own_and_the_same_each_time() -> None:
    found = network_of("x", town(500))
    assert len(found.nodes) >= 500
    at = placed(found)
    assert at == placed(network_of("x", town(500)))
    assert set(at) == {node.id for node in found.nodes}
    cells = [(int(x // 14), int(y // 14)) for x, y in at.values()]
    assert len(set(cells)) >= 0.97 * len(cells)


def test_nothing_to_draw_is_a_page_too() -> None:
    empty = network_of("x", [])
    assert placed(empty) == {}
    assert WARNING.split(":")[0] in page(empty)
    assert as_csv(empty).startswith("from_kind")


class _Asks(HTMLParser):
    """Collects what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [f"{tag} {n}={v}" for n, v in attrs if n in {"src", "href", "action", "data"}]


def test_the_page_loads_nothing_and_a_hostile_name_is_only_text() -> None:
    evil = "</script><img src=x onerror=alert(1)><!-- \u2028"
    asked = _Asks()
    text = page(network_of(evil, [sighting(evil, person(0, name=evil), place=evil)]))
    asked.feed(text)
    assert asked.loads == []
    assert "img" not in asked.tags
    assert asked.tags.count("script") == 2
    assert "default-src 'none'" in text
    assert "url(" not in text


def test_the_csv_has_a_line_a_link_and_no_formula() -> None:
    found = network_of("x", [sighting("=1+1", person(0, name="=HYPERLINK(1)"), person(1))])
    (line,) = csv.DictReader(io.StringIO(as_csv(found)))
    assert "'=HYPERLINK(1)" in {line["from"], line["to"]}
    assert line["records"] == "'=1+1"
    assert line["touches"] == "1"


def test_the_graphml_reads_back_with_the_warning() -> None:
    import networkx as nx

    found = small()
    text = as_graphml(found)
    ET.fromstring(text)
    graph = nx.parse_graphml(text, force_multigraph=True)
    assert set(graph.nodes) == {node.id for node in found.nodes}
    assert graph.number_of_edges() == len(found.links)
    assert graph.graph["warning"] == WARNING


def test_the_stix_bundle_is_valid_whole_and_the_same_each_time() -> None:
    import stix2

    from consumers.network_stix import bundle

    found = small()
    text = bundle(found)
    assert bundle(small()) == text
    stix2.parse(text, allow_custom=True)
    objects = json.loads(text)["objects"]
    ids = {each["id"] for each in objects}
    kinds = [each["type"] for each in objects]
    assert kinds.count("relationship") == len(found.links)
    assert kinds.count("x-silenthit-item") == 2
    assert kinds.count("identity") == 4
    assert "email-addr" in kinds
    assert "location" in kinds
    for each in objects:
        refs = [each[k] for k in ("source_ref", "target_ref") if k in each]
        refs += each.get("object_refs", []) + each.get("object_marking_refs", [])
        assert set(refs) <= ids, each["type"]
        if each["type"] in {"grouping", "note"}:
            assert WARNING in json.dumps(each)
    own = next(each for each in objects if each["type"] == "x-silenthit-item")
    assert own["extensions"]


@pytest.mark.slow
@pytest.mark.parametrize("form", [as_csv, as_graphml, page])
def test_every_form_keeps_a_file_of_500_nodes_below_a_megabyte(form) -> None:
    assert len(form(network_of("x", town(500)))) < 1_000_000


def test_a_part_of_more_than_five_hundred_nodes_is_drawn_apart() -> None:
    phones = [item(IdentifierKind.PHONE, f"203-555-{n:04d}") for n in range(520)]
    found = [sighting(f"R-{n}", person(0, *phones[n : n + 40])) for n in range(0, 520, 40)]
    network = network_of("Blue Heron 1", found)
    assert len(network.nodes) > 500
    at = placed(network)
    here = np.array([*at.values()])
    assert here.min() > 0
    far = np.hypot(*(here[:, None] - here[None]).transpose(2, 0, 1))
    np.fill_diagonal(far, np.inf)
    assert far.min() > 15
