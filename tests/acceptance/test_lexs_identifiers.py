"""Each class of identifier in the LEXS files, watched, alerts once on each file that has it.

What is to be expected is read from the XML here, by its tags alone, with no code of ours.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from silenthit.bus.clients import KafkaSettings
from tests.town import town

Value = tuple[str, ...]

WITHIN = {
    "ssn": "PersonSSNIdentification",
    "fbi_number": "PersonFBIIdentification",
    "state_id": "PersonStateFingerprintIdentification",
    "driver_licence": "DriverLicenseIdentification",
    "plate": "ConveyanceRegistrationPlateIdentification",
    "vin": "VehicleIdentification",
}


def local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def digest(root: ET.Element) -> Iterator[ET.Element]:
    """Everything below the digest: the structured payload repeats some of it."""
    for part in root.iter():
        if local(part) == "Digest":
            yield from part.iter()


def texts(element: ET.Element, *names: str) -> tuple[str, ...]:
    found = {local(each): (each.text or "").strip() for each in element.iter()}
    return tuple(found.get(name, "") for name in names)


def identifiers(path: Path) -> dict[str, set[Value]]:
    """Return the values of each class in one file."""
    found: dict[str, set[Value]] = {kind: set() for kind in WITHIN}
    found |= {"phone": set(), "name_birth_date": set(), "name_address": set()}
    elements = list(digest(ET.parse(path).getroot()))
    for element in elements:
        for kind, tag in WITHIN.items():
            if local(element) == tag:
                jurisdiction = [
                    (each.text or "").strip()
                    for each in element.iter()
                    if "Jurisdiction" in each.tag
                ]
                found[kind].add((*texts(element, "IdentificationID"), *jurisdiction))
        if local(element) == "TelephoneNumber":
            found["phone"].add(texts(element, "TelephoneNumberFullID"))
        if local(element) == "Person":
            found["name_birth_date"] |= {
                (surname, given, born) for surname, given, born in [person(element)] if born
            }
    found["name_address"] = set(residents(elements))
    return found


def person(element: ET.Element) -> tuple[str, str, str]:
    names = [each for each in element if local(each) == "PersonName"]
    births = [each for each in element if local(each) == "PersonBirthDate"]
    surname, given = texts(names[0], "PersonSurName", "PersonGivenName") if names else ("", "")
    return surname, given, texts(births[0], "Date")[0] if births else ""


def residents(elements: list[ET.Element]) -> Iterator[Value]:
    by_id = {value: e for e in elements for key, value in e.attrib.items() if key.endswith("}id")}
    for element in elements:
        if local(element) != "ResidenceAssociation":
            continue
        refs = [value for each in element for value in each.attrib.values()]
        who, where = by_id[refs[0]], by_id[refs[1]]
        street = texts(where, "StreetNumberText", "StreetName", "LocationCityName")
        state = texts(where, "LocationStateUSPostalServiceCode", "LocationPostalCode")
        yield (*person(who)[:2], *street, *state)


def watch(kind: str, value: Value) -> str:
    """A watch on one value of one class, in TOML."""
    head = f'[[watch]]\nlabel = "{kind}"\nlegal_basis = "test"\n[[watch.subject]]\n'
    if kind == "name_birth_date":
        surname, given, born = value
        return head + f'surname = "{surname}"\ngiven = "{given}"\nbirth_dates = ["{born}"]\n'
    if kind == "name_address":
        surname, given, number, street, city, state, postal = value
        address = f"{number} {street}, {city}, {state} {postal}"
        one = f'{{kind = "address", value = "{address}"}}'
        return head + f'surname = "{surname}"\ngiven = "{given}"\nidentifiers = [{one}]\n'
    issuer = value[1] if len(value) > 1 else ""
    one = f'{{kind = "{kind}", value = "{value[0]}", issuer = "{issuer}"}}'
    return head + f"identifiers = [{one}]\n"


def test_each_class_of_identifier_alerts_once_on_each_file_that_has_it(
    tmp_path: Path,
    fresh_kafka: KafkaSettings,
    redis_url: str,
    outside_data: Path,
    record_property: Callable[[str, object], None],
) -> None:
    files = sorted((outside_data / "lexs").glob("*.xml"))
    assert len(files) == 26
    holding = {path: identifiers(path) for path in files}
    classes = sorted({kind for found in holding.values() for kind in found})
    watched = {
        kind: commonest(kind, [found[kind] for found in holding.values()]) for kind in classes
    }
    expected = {
        kind: sum(value in found[kind] for found in holding.values())
        for kind, value in watched.items()
    }
    record_property("expected", expected)
    with town(tmp_path / "town", fresh_kafka, redis_url) as made:
        made.add_agency("bismarck", "ND0080100")
        made.add_partner("fbi", "bismarck")
        made.watch("fbi", "\n".join(watch(kind, value) for kind, value in watched.items()))
        made.start_worker()
        made.publish("bismarck", *files)
        made.wait_until_matched()
        found = made.alerts("fbi")
        assert made.quarantined() == []
    assert Counter(alert["label"] for alert in found) == expected
    assert len({alert["alert_id"] for alert in found}) == len(found)
    assert all(alert["status"] == "active" for alert in found)


def commonest(kind: str, found: list[set[Value]]) -> Value:
    counted = Counter(value for values in found for value in values if all(value[:1]))
    assert counted, f"expected a {kind} in the files"
    return min(counted, key=lambda value: (-counted[value], value))


@pytest.mark.parametrize("kind", [*WITHIN, "phone", "name_birth_date", "name_address"])
def test_the_files_hold_every_class(outside_data: Path, kind: str) -> None:
    assert any(identifiers(path)[kind] for path in (outside_data / "lexs").glob("*.xml"))
