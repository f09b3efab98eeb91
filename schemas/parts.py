"""What lies inside the sealed parts of a touch: plaintext for its agency and an opener alone."""

from __future__ import annotations

from pydantic import AwareDatetime

from schemas.areas import AreaPlan
from schemas.frozen import Frozen
from schemas.vocabulary import IdentifierKind, NameKind, SubjectRole, TouchKind

__all__ = [
    "AgencySignature",
    "ContactCard",
    "Frozen",
    "Identifier",
    "PersonName",
    "Subject",
    "TouchCommon",
]


class PersonName(Frozen):
    """One name of a subject (NIEM nc:PersonName). Give `full` where the parts are not known."""

    surname: str = ""
    given: str = ""
    middle: str = ""
    suffix: str = ""
    full: str = ""
    kind: NameKind = NameKind.LEGAL


class Identifier(Frozen):
    """A field that names a subject or an item, as written by the agency.

    `issuer` is the jurisdiction of a state ID, licence, plate or passport (USPS or ISO 3166 code)
    and the platform of a social handle; empty where there is none.
    """

    kind: IdentifierKind
    value: str
    issuer: str = ""


class Subject(Frozen):
    """A person in a touch or in a watch. `birth_dates` are ISO 8601, possibly reduced to a year."""

    role: SubjectRole = SubjectRole.UNKNOWN
    names: tuple[PersonName, ...] = ()
    birth_dates: tuple[str, ...] = ()
    sex: str = ""
    identifiers: tuple[Identifier, ...] = ()
    minor: bool = False
    mentioned: bool = False  # read out of free text, so weaker evidence


class ContactCard(Frozen):
    """Who to call at the reporting agency; no subject data."""

    ori: str
    agency: str
    unit: str = ""
    name: str = ""
    phone: str = ""
    email: str = ""
    case_number: str = ""
    kind: TouchKind | None = None  # of the touch; none on a publication
    month: str = ""  # of the touch, "YYYY-MM"; empty where unknown
    supervisor: str = ""  # of a planned operation: name and phone
    area: AreaPlan | None = None  # only from agency to agency (schemas.operations)


class TouchCommon(Frozen):
    """What a touch says beside its subjects."""

    record_number: str
    kind: TouchKind
    occurred_at: AwareDatetime | None = None
    place: str = ""
    offences: tuple[str, ...] = ()  # NIBRS codes
    indicators: tuple[str, ...] = ()  # keys of vocabulary.INDICATORS
    items: tuple[Identifier, ...] = ()  # tied to no subject in the record
    narrative: str = ""
    history: bool = False  # backfill: pages nobody unless the partner asks
    canary: bool = False  # synthetic: proves the way and is of nobody
    area: AreaPlan | None = None  # of a planned operation, for the exact comparison


class AgencySignature(Frozen):
    """The agency's Ed25519 signature over header and parts, itself sealed."""

    signer: str
    signature: bytes
