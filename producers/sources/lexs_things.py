"""What a LEXS digest ties to its persons, or to none: phones, vehicles, e-mail, places."""

from __future__ import annotations

from lxml import etree

from producers.sources.lexs_digest import (
    Digest,
    child_text,
    first_children,
    local,
    text_in,
    text_of,
)
from schemas.parts import Identifier
from schemas.vocabulary import IdentifierKind

_WITHOUT_ISSUER = {IdentifierKind.SSN, IdentifierKind.FBI_NUMBER, IdentifierKind.A_NUMBER}


def things(digest: Digest) -> dict[str, list[Identifier]]:
    """Identifiers of what is not a person, by the id of the phone, vehicle, e-mail or location."""
    found: dict[str, list[Identifier]] = {}
    for key, each in _keyed(digest, "TelephoneNumber"):
        found[key] = [Identifier(kind=IdentifierKind.PHONE, value=telephone(each))]
    for key, each in _keyed(digest, "Vehicle"):
        found[key] = vehicle(each)
    for key, each in _keyed(digest, "ContactEmailID"):
        found[key] = [Identifier(kind=IdentifierKind.EMAIL, value=text_of(each))]
    for key, each in _keyed(digest, "InstantMessenger"):
        platform = child_text(each, "InstantMessengerServiceName")
        handle = child_text(each, "InstantMessengerScreenName") or text_of(each)
        found[key] = [Identifier(kind=IdentifierKind.SOCIAL_HANDLE, value=handle, issuer=platform)]
    for key, each in digest.by_id("Location").items():
        found[key] = [Identifier(kind=IdentifierKind.ADDRESS, value=address(each))]
    return {key: [i for i in each if i.value] for key, each in found.items()}


def _keyed(digest: Digest, name: str) -> list[tuple[str, etree._Element]]:
    """Elements of the digest's entities, by their id or a number where they have none."""
    ids = {id(each): key for key, each in digest.by_id(name).items()}
    return [
        (ids.get(id(each), f"#{name}{number}"), each)
        for number, each in enumerate(digest.all(name))
        if local(each.getparent()).startswith("Entity")
    ]


def issuer(kind: IdentifierKind, element: etree._Element) -> str:
    """Who issued an identifier: its jurisdiction, else what the source is called."""
    if kind in _WITHOUT_ISSUER:
        return ""
    return next(
        (text_of(each) for each in element if local(each).startswith("IdentificationJurisdiction")),
        child_text(element, "IdentificationSourceText"),
    )


def vehicle(element: etree._Element) -> list[Identifier]:
    """Plate with its jurisdiction, and VIN, of an nc:Vehicle."""
    plates = element.iter("{*}ConveyanceRegistrationPlateIdentification")
    found = [
        Identifier(
            kind=IdentifierKind.PLATE,
            value=child_text(each, "IdentificationID"),
            issuer=issuer(IdentifierKind.PLATE, each),
        )
        for each in plates
    ]
    return found + [
        Identifier(kind=IdentifierKind.VIN, value=child_text(each, "IdentificationID"))
        for each in element.iter("{*}VehicleIdentification")
    ]


def telephone(element: etree._Element) -> str:
    """A number as one string: as written in full, else North American or international parts."""
    full = child_text(element, "TelephoneNumberFullID")
    if full:
        return full
    parts = ("TelephoneAreaCodeID", "TelephoneExchangeID", "TelephoneLineID")
    national = "-".join(filter(None, (child_text(element, each) for each in parts)))
    abroad = child_text(element, "TelephoneCountryCodeID"), child_text(element, "TelephoneNumberID")
    return national or ("+" + " ".join(abroad) if all(abroad) else abroad[1])


def address(location: etree._Element) -> str:
    """One line of an nc:Location: number, street and unit, city, state, postal code."""
    said = first_children(location)
    full = text_in(said, "AddressFullText")
    if full:
        return full
    street = text_in(said, "StreetFullText") or _joined(said, _STREET)
    state = next((text for each in _STATE if each in said and (text := text_in(said, each))), "")
    region = " ".join(filter(None, (state, text_in(said, "LocationPostalCode"))))
    unit, city = (text_in(said, each) for each in ("AddressSecondaryUnitText", "LocationCityName"))
    return ", ".join(filter(None, (street, unit, city, region)))


def _joined(said: dict[str, etree._Element], names: tuple[str, ...]) -> str:
    return " ".join(filter(None, [text_in(said, each) for each in names if each in said]))


_STREET = (
    "StreetNumberText",
    "StreetPredirectionalText",
    "StreetName",
    "StreetCategoryText",
    "StreetPostdirectionalText",
)
_STATE = (
    "LocationStateUSPostalServiceCode",
    "LocationStateNCICLISCode",
    "LocationStateNCICRESCode",
    "LocationStateName",
)
