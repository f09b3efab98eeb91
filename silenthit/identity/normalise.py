"""One normaliser a field: total on any text, idempotent, pure, "" when nothing usable is left."""

from __future__ import annotations

from schemas.parts import Identifier
from schemas.vocabulary import IdentifierKind
from silenthit.identity.addresses import address
from silenthit.identity.contacts import email, phone, social_handle
from silenthit.identity.dates import birth_date, birth_year_at
from silenthit.identity.documents import (
    NUMBERED,
    a_number,
    device,
    driver_licence,
    fbi_number,
    passport,
    payment,
    ssn,
    state_id,
)
from silenthit.identity.jurisdictions import jurisdiction
from silenthit.identity.names import name, street_name
from silenthit.identity.vehicles import plate, plate_as_read, vin

__all__ = [
    "a_number",
    "address",
    "birth_date",
    "birth_year_at",
    "device",
    "driver_licence",
    "email",
    "fbi_number",
    "identifier",
    "jurisdiction",
    "name",
    "passport",
    "payment",
    "phone",
    "plate",
    "plate_as_read",
    "social_handle",
    "ssn",
    "state_id",
    "street_name",
    "vin",
]


def identifier(written: Identifier, *, area_code: str = "") -> str:
    """Normalise an identifier by its kind; "" for kind OTHER and for what cannot be used.

    `area_code` is the agency's own, for local telephone numbers.
    """
    match written.kind:
        case IdentifierKind.PHONE:
            return phone(written.value, area_code)
        case IdentifierKind.EMAIL:
            return email(written.value)
        case IdentifierKind.SOCIAL_HANDLE:
            return social_handle(written.value, written.issuer)
        case IdentifierKind.ADDRESS:
            return address(written.value)
        case IdentifierKind.PLATE:
            return plate(written.value)
        case IdentifierKind.VIN:
            return vin(written.value)
        case IdentifierKind.OTHER:
            return ""
        case _:
            return NUMBERED[written.kind](written.value, written.issuer)
