"""The words on the wire: touch kinds, roles, identifiers, match-key kinds, offences, indicators.

Symbols and numbers are only ever added, never renamed or reused (see docs/wire-format.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum


class TouchKind(StrEnum):
    """What an agency's contact with a subject was; known to the agency and the alerted partner."""

    ARREST = "arrest"
    BOOKING = "booking"
    FIELD_CONTACT = "field_contact"
    TRAFFIC_STOP = "traffic_stop"
    CITATION = "citation"
    INCIDENT = "incident"
    VICTIM_CONTACT = "victim_contact"
    TIP = "tip"
    INQUIRY = "inquiry"
    PLANNED_OPERATION = "planned_operation"
    TRAVEL = "travel"
    PLATE_READ = "plate_read"
    RELEASE = "release"


class CoarseKind(StrEnum):
    """The only thing that the exchange learns of a touch's kind."""

    CUSTODY = "custody"
    CONTACT = "contact"
    INQUIRY = "inquiry"
    OPERATION = "operation"
    SIGHTING = "sighting"


COARSE_KIND: dict[TouchKind, CoarseKind] = {
    TouchKind.ARREST: CoarseKind.CUSTODY,
    TouchKind.BOOKING: CoarseKind.CUSTODY,
    TouchKind.RELEASE: CoarseKind.CUSTODY,
    TouchKind.FIELD_CONTACT: CoarseKind.CONTACT,
    TouchKind.TRAFFIC_STOP: CoarseKind.CONTACT,
    TouchKind.CITATION: CoarseKind.CONTACT,
    TouchKind.INCIDENT: CoarseKind.CONTACT,
    TouchKind.VICTIM_CONTACT: CoarseKind.CONTACT,
    TouchKind.TIP: CoarseKind.CONTACT,
    TouchKind.INQUIRY: CoarseKind.INQUIRY,
    TouchKind.PLANNED_OPERATION: CoarseKind.OPERATION,
    TouchKind.TRAVEL: CoarseKind.SIGHTING,
    TouchKind.PLATE_READ: CoarseKind.SIGHTING,
}


class SubjectRole(StrEnum):
    """How a subject takes part in a touch (after NIEM j: and LEXS digest roles)."""

    SUSPECT = "suspect"
    ARRESTEE = "arrestee"
    VICTIM = "victim"
    WITNESS = "witness"
    CONTACT = "contact"
    OWNER = "owner"
    OFFICER = "officer"
    UNKNOWN = "unknown"


class NameKind(StrEnum):
    """Which of a subject's names this is."""

    LEGAL = "legal"
    ALIAS = "alias"
    STREET_NAME = "street_name"


class IdentifierKind(StrEnum):
    """A field of a subject or an item, other than name and birth date."""

    SSN = "ssn"
    FBI_NUMBER = "fbi_number"
    STATE_ID = "state_id"
    DRIVER_LICENCE = "driver_licence"
    PASSPORT = "passport"
    A_NUMBER = "a_number"
    PHONE = "phone"
    EMAIL = "email"
    SOCIAL_HANDLE = "social_handle"
    ADDRESS = "address"
    PLATE = "plate"
    VIN = "vin"
    DEVICE = "device"
    PAYMENT = "payment"
    OTHER = "other"


class Strength(Enum):
    """Whether one match key is enough (strong) or needs a second with disjoint fields (weak)."""

    STRONG = "strong"
    WEAK = "weak"


class TokenClass(IntEnum):
    """Key-holder secrets are separate for each class, so each has quotas and a life of its own."""

    PERSON = 1
    ITEM = 2
    PLACE_TIME = 3


class MatchKeyKind(IntEnum):
    """What a match key is made of; the number stands beside each token on the wire."""

    SSN = 1
    FBI_NUMBER = 2
    STATE_ID = 3
    DRIVER_LICENCE = 4
    PASSPORT = 5
    A_NUMBER = 6
    PHONE = 7
    EMAIL = 8
    SOCIAL_HANDLE = 9
    PLATE = 10
    VIN = 11
    DEVICE = 12
    PAYMENT = 13
    NAME_BIRTH_DATE = 14
    INITIAL_SURNAME_BIRTH_DATE = 15
    GIVEN_INITIAL_BIRTH_DATE = 16
    NAME_START_BIRTH_DATE = 17
    NAME_BIRTH_MONTH = 18  # the day may be wrong
    NAME_BIRTH_YEAR_DAY = 19  # the month may be wrong
    NAME_BIRTHDAY_DECADE = 20  # the last digit of the year may be wrong
    NAME_BIRTHDAY_YEAR_DIGIT = 21  # the decade may be wrong
    BIRTH_DATE_STREET = 22
    BIRTH_DATE_POSTCODE = 23
    NAME_WORD_STREET_POSTCODE = 24  # given name or surname, whichever is right
    NAME_START_STREET = 25
    NAME_POSTCODE = 26
    NAME_WORD_HOUSE_CITY = 27  # no longer made: it met relatives
    NAME_WORD_BIRTH_DATE_CITY = 28
    FULL_NAME = 32
    ADDRESS = 33
    HOUSE_POSTCODE = 34
    STREET_NAME_BIRTH_DATE = 35
    NAME_STARTS = 36
    HOUSE_CITY = 37
    # A place and a time: which of the two is written with all that holds it (ABOVE), and which as
    # it is (COVER), on the touch's side; the asking side writes them the other way round.
    PLACE_ABOVE_TIME_ABOVE = 40
    PLACE_ABOVE_TIME_COVER = 41
    PLACE_COVER_TIME_ABOVE = 42
    PLACE_COVER_TIME_COVER = 43


@dataclass(frozen=True, kw_only=True, slots=True)
class KindFacts:
    """What the match rule and the key holder need to know of a match-key kind."""

    strength: Strength
    fields: frozenset[str]  # fields of the subject that the key is built from
    token_class: TokenClass


def _strong(token_class: TokenClass, *fields: str) -> KindFacts:
    return KindFacts(strength=Strength.STRONG, fields=frozenset(fields), token_class=token_class)


def _weak(token_class: TokenClass, *fields: str) -> KindFacts:
    return KindFacts(strength=Strength.WEAK, fields=frozenset(fields), token_class=token_class)


_NAME = ("surname", "given")

MATCH_KEY_KINDS: dict[MatchKeyKind, KindFacts] = {
    MatchKeyKind.SSN: _strong(TokenClass.PERSON, "ssn"),
    MatchKeyKind.FBI_NUMBER: _strong(TokenClass.PERSON, "fbi_number"),
    MatchKeyKind.STATE_ID: _strong(TokenClass.PERSON, "state_id"),
    MatchKeyKind.DRIVER_LICENCE: _strong(TokenClass.PERSON, "driver_licence"),
    MatchKeyKind.PASSPORT: _strong(TokenClass.PERSON, "passport"),
    MatchKeyKind.A_NUMBER: _strong(TokenClass.PERSON, "a_number"),
    MatchKeyKind.PHONE: _strong(TokenClass.ITEM, "phone"),
    MatchKeyKind.EMAIL: _strong(TokenClass.ITEM, "email"),
    MatchKeyKind.SOCIAL_HANDLE: _strong(TokenClass.ITEM, "social_handle"),
    MatchKeyKind.PLATE: _strong(TokenClass.ITEM, "plate"),
    MatchKeyKind.VIN: _strong(TokenClass.ITEM, "vin"),
    MatchKeyKind.DEVICE: _strong(TokenClass.ITEM, "device"),
    MatchKeyKind.PAYMENT: _strong(TokenClass.ITEM, "payment"),
    MatchKeyKind.NAME_BIRTH_DATE: _strong(TokenClass.PERSON, *_NAME, "birth_date"),
    MatchKeyKind.INITIAL_SURNAME_BIRTH_DATE: _strong(TokenClass.PERSON, *_NAME, "birth_date"),
    MatchKeyKind.GIVEN_INITIAL_BIRTH_DATE: _strong(TokenClass.PERSON, *_NAME, "birth_date"),
    MatchKeyKind.NAME_START_BIRTH_DATE: _strong(TokenClass.PERSON, *_NAME, "birth_date"),
    MatchKeyKind.NAME_BIRTH_MONTH: _strong(TokenClass.PERSON, *_NAME, "birth_date"),
    MatchKeyKind.NAME_BIRTH_YEAR_DAY: _strong(TokenClass.PERSON, *_NAME, "birth_date"),
    MatchKeyKind.NAME_BIRTHDAY_DECADE: _strong(TokenClass.PERSON, *_NAME, "birth_date"),
    MatchKeyKind.NAME_BIRTHDAY_YEAR_DIGIT: _strong(TokenClass.PERSON, *_NAME, "birth_date"),
    MatchKeyKind.BIRTH_DATE_STREET: _strong(TokenClass.PERSON, "birth_date", "address"),
    MatchKeyKind.BIRTH_DATE_POSTCODE: _strong(TokenClass.PERSON, "birth_date", "address"),
    MatchKeyKind.NAME_WORD_STREET_POSTCODE: _strong(TokenClass.PERSON, *_NAME, "address"),
    MatchKeyKind.NAME_START_STREET: _strong(TokenClass.PERSON, *_NAME, "address"),
    MatchKeyKind.NAME_POSTCODE: _strong(TokenClass.PERSON, *_NAME, "address"),
    MatchKeyKind.NAME_WORD_HOUSE_CITY: _strong(TokenClass.PERSON, *_NAME, "address"),
    MatchKeyKind.NAME_WORD_BIRTH_DATE_CITY: _strong(
        TokenClass.PERSON, *_NAME, "birth_date", "address"
    ),
    MatchKeyKind.FULL_NAME: _weak(TokenClass.PERSON, *_NAME),
    MatchKeyKind.ADDRESS: _weak(TokenClass.PERSON, "address"),
    MatchKeyKind.HOUSE_POSTCODE: _weak(TokenClass.PERSON, "address"),
    MatchKeyKind.STREET_NAME_BIRTH_DATE: _weak(TokenClass.PERSON, "street_name", "birth_date"),
    MatchKeyKind.NAME_STARTS: _weak(TokenClass.PERSON, *_NAME),
    MatchKeyKind.HOUSE_CITY: _weak(TokenClass.PERSON, "address"),
    MatchKeyKind.PLACE_ABOVE_TIME_ABOVE: _strong(TokenClass.PLACE_TIME, "place", "time"),
    MatchKeyKind.PLACE_ABOVE_TIME_COVER: _strong(TokenClass.PLACE_TIME, "place", "time"),
    MatchKeyKind.PLACE_COVER_TIME_ABOVE: _strong(TokenClass.PLACE_TIME, "place", "time"),
    MatchKeyKind.PLACE_COVER_TIME_COVER: _strong(TokenClass.PLACE_TIME, "place", "time"),
}

_FACTS: dict[int, KindFacts] = {int(kind): facts for kind, facts in MATCH_KEY_KINDS.items()}


def is_strong(kind: int) -> bool:
    """Whether a token of this kind is enough alone; a kind not on the list never counts."""
    facts = _FACTS.get(kind)
    return facts is not None and facts.strength is Strength.STRONG


def is_of_a_subject(kind: int) -> bool:
    """Whether a token of this kind is somebody's or something's, and not a place's and a time's."""
    facts = _FACTS.get(kind)
    return facts is not None and facts.token_class is not TokenClass.PLACE_TIME


def admissible_pair(first: int, second: int) -> bool:
    """Whether two weak kinds count together: both known, weak, and built from disjoint fields."""
    a, b = _FACTS.get(first), _FACTS.get(second)
    if a is None or b is None:
        return False
    return a.strength is b.strength is Strength.WEAK and a.fields.isdisjoint(b.fields)


# NIBRS User Manual (FBI), offence codes; 64A and 64B are human trafficking.
NIBRS_OFFENCES: dict[str, str] = {
    "09A": "Murder and Nonnegligent Manslaughter",
    "09B": "Negligent Manslaughter",
    "09C": "Justifiable Homicide",
    "100": "Kidnapping/Abduction",
    "101": "Treason",
    "103": "Espionage",
    "11A": "Rape",
    "11B": "Sodomy",
    "11C": "Sexual Assault With An Object",
    "11D": "Criminal Sexual Contact",
    "120": "Robbery",
    "13A": "Aggravated Assault",
    "13B": "Simple Assault",
    "13C": "Intimidation",
    "200": "Arson",
    "210": "Extortion/Blackmail",
    "220": "Burglary/Breaking & Entering",
    "23A": "Pocket-picking",
    "23B": "Purse-snatching",
    "23C": "Shoplifting",
    "23D": "Theft From Building",
    "23E": "Theft From Coin-Operated Machine or Device",
    "23F": "Theft From Motor Vehicle",
    "23G": "Theft of Motor Vehicle Parts or Accessories",
    "23H": "All Other Larceny",
    "240": "Motor Vehicle Theft",
    "250": "Counterfeiting/Forgery",
    "26A": "False Pretenses/Swindle/Confidence Game",
    "26B": "Credit Card/Automated Teller Machine Fraud",
    "26C": "Impersonation",
    "26D": "Welfare Fraud",
    "26E": "Wire Fraud",
    "26F": "Identity Theft",
    "26G": "Hacking/Computer Invasion",
    "26H": "Money Laundering",
    "270": "Embezzlement",
    "280": "Stolen Property Offenses",
    "290": "Destruction/Damage/Vandalism of Property",
    "30A": "Illegal Entry into the United States",
    "30B": "False Citizenship",
    "30C": "Smuggling Aliens",
    "30D": "Re-entry after Deportation",
    "35A": "Drug/Narcotic Violations",
    "35B": "Drug Equipment Violations",
    "360": "Failure to Register as a Sex Offender",
    "36A": "Incest",
    "36B": "Statutory Rape",
    "370": "Pornography/Obscene Material",
    "39A": "Betting/Wagering",
    "39B": "Operating/Promoting/Assisting Gambling",
    "39C": "Gambling Equipment Violation",
    "39D": "Sports Tampering",
    "40A": "Prostitution",
    "40B": "Assisting or Promoting Prostitution",
    "40C": "Purchasing Prostitution",
    "49A": "Harboring Escapee/Concealing from Arrest",
    "49B": "Flight to Avoid Prosecution",
    "49C": "Flight to Avoid Deportation",
    "510": "Bribery",
    "520": "Weapon Law Violations",
    "521": "Violation of National Firearm Act of 1934",
    "522": "Weapons of Mass Destruction",
    "526": "Explosives",
    "58A": "Import Violations",
    "58B": "Export Violations",
    "61A": "Federal Liquor Offenses",
    "61B": "Federal Tobacco Offenses",
    "620": "Wildlife Trafficking",
    "64A": "Human Trafficking, Commercial Sex Acts",
    "64B": "Human Trafficking, Involuntary Servitude",
    "720": "Animal Cruelty",
    "90A": "Bad Checks",
    "90B": "Curfew/Loitering/Vagrancy Violations",
    "90C": "Disorderly Conduct",
    "90D": "Driving Under the Influence",
    "90E": "Drunkenness",
    "90F": "Family Offenses, Nonviolent",
    "90G": "Liquor Law Violations",
    "90H": "Peeping Tom",
    "90I": "Runaway",
    "90J": "Trespass of Real Property",
    "90K": "Failure to Appear",
    "90L": "Federal Resource Violations",
    "90M": "Perjury",
    "90Z": "All Other Offenses",
}


class Element(StrEnum):
    """The three elements of trafficking (Palermo Protocol, article 3(a); 22 U.S.C. 7102(11))."""

    ACT = "act"
    MEANS = "means"
    PURPOSE = "purpose"


@dataclass(frozen=True, kw_only=True, slots=True)
class Indicator:
    """A sign of trafficking that an officer may note."""

    element: Element
    meaning: str
    source: str


_PALERMO = "UN Palermo Protocol, art. 3(a)"
_TVPA = "22 U.S.C. 7102(11)"
_UNODC = "UNODC Human Trafficking Indicators (2009)"
_BLUE = "DHS Blue Campaign, Indicators of Human Trafficking"

INDICATORS: dict[str, Indicator] = {
    "recruited_by_fraud": Indicator(
        element=Element.ACT, meaning="Recruited with a false offer of work", source=_PALERMO
    ),
    "transported": Indicator(
        element=Element.ACT, meaning="Moved between cities or venues by another", source=_PALERMO
    ),
    "harboured": Indicator(
        element=Element.ACT, meaning="Lives where the work is, several to a room", source=_UNODC
    ),
    "speaks_for_another": Indicator(
        element=Element.ACT, meaning="Someone else speaks for the person", source=_BLUE
    ),
    "advertised": Indicator(
        element=Element.ACT, meaning="Advertised online for commercial sex", source=_TVPA
    ),
    "documents_withheld": Indicator(
        element=Element.MEANS, meaning="Identity documents held by another", source=_UNODC
    ),
    "debt_bondage": Indicator(
        element=Element.MEANS, meaning="Works to pay off a debt", source=_TVPA
    ),
    "physical_abuse": Indicator(
        element=Element.MEANS, meaning="Bruising, branding or untreated injury", source=_BLUE
    ),
    "threats": Indicator(
        element=Element.MEANS, meaning="Threats to the person or the family", source=_PALERMO
    ),
    "movement_controlled": Indicator(
        element=Element.MEANS, meaning="Not free to leave, always accompanied", source=_BLUE
    ),
    "drugs_supplied": Indicator(
        element=Element.MEANS, meaning="Kept dependent on drugs", source=_BLUE
    ),
    "minor": Indicator(
        element=Element.MEANS, meaning="Under 18: no means need be shown", source=_TVPA
    ),
    "commercial_sex": Indicator(
        element=Element.PURPOSE, meaning="Commercial sex acts", source=_TVPA
    ),
    "forced_labour": Indicator(
        element=Element.PURPOSE, meaning="Labour or services, unpaid or underpaid", source=_PALERMO
    ),
    "domestic_servitude": Indicator(
        element=Element.PURPOSE, meaning="Held in domestic service", source=_UNODC
    ),
    "forced_criminality": Indicator(
        element=Element.PURPOSE, meaning="Made to beg, steal or carry drugs", source=_UNODC
    ),
}
