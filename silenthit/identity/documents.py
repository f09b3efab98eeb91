"""Normalisers of numbers that an authority issued: SSN, FBI number, state ID, licence, passport.

Every function is total on any text, idempotent, and returns "" when nothing usable is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from schemas.vocabulary import IdentifierKind
from silenthit.identity.jurisdictions import jurisdiction

_PLACEHOLDERS = frozenset(
    {"UNKNOWN", "UNK", "NONE", "NA", "NULL", "REFUSED", "PENDING", "NOTAVAILABLE", "NOTPROVIDED"}
)
_LONGEST = 40  # signs around an SSN; patterns are not tried on more
# Printed in advertisements and on sample cards, so they name nobody.
_SPENT_SSNS = frozenset({"078051120", "219099999", "123456789", "457555462"})


def alphanumeric(text: str, label: str = "") -> str:
    """Keep ASCII letters and digits, upper case, without a label (a pattern) in front.

    "" for placeholders and one repeated sign.
    """
    kept = re.sub(r"[^A-Z0-9]", "", text.upper())
    if label:
        kept = re.sub(label, "", kept)
    return "" if kept in _PLACEHOLDERS or len(set(kept)) < 2 else kept


def ssn(text: str) -> str:
    """Nine digits of a Social Security number that can have been issued.

    Equal for "219-45-1234", "219 45 1234", "SSN: 219451234". Refused: masked ("XXX-XX-1234"), other
    lengths, area 000, 666 or 9xx (those are ITINs), group 00, serial 0000, one repeated digit, and
    numbers known from advertisements (SSA, "Invalid Social Security Numbers").
    """
    if len(text) > _LONGEST or not re.fullmatch(
        r"(?i)[^a-z0-9*#]*(ssn?|soc)?[^a-z0-9*#]*[\d\s.\-/]+[^a-z0-9*#]*", text
    ):
        return ""
    digits = re.sub(r"[^0-9]", "", text)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    impossible = area in {"000", "666"} or area[:1] == "9" or group == "00" or serial == "0000"
    if len(digits) != 9 or impossible or len(set(digits)) == 1 or digits in _SPENT_SSNS:
        return ""
    return digits


def fbi_number(text: str) -> str:
    """An FBI number (Universal Control Number), without the label and leading zeros.

    Equal for "FBI# 632196PY8", "632196-PY8", "UCN 0632196py8". Up to nine signs with a digit among
    them (NCIC Code Manual, "FBI Number").
    """
    kept = alphanumeric(text, r"^(FBI|UCN)?(NO|NUMBER)?0*")
    return kept if 3 <= len(kept) <= 9 and re.search(r"\d", kept) else ""


def state_id(text: str, issuer: str = "") -> str:
    """A state identification number with its jurisdiction in front: "DE:5921773".

    Equal for "DE5921773" of DE, "5921773" of DE, "SID DE-5921773". Without a jurisdiction only the
    number itself is kept.
    """
    return _with_jurisdiction(text, issuer, labels=r"^SID(NO|NUMBER)?")


def driver_licence(text: str, issuer: str = "") -> str:
    """A driver licence number with its jurisdiction in front: "MA:S12345678".

    Equal for "S12345678", "S-1234-5678", "OLN S1234 5678" of MA. Leading zeros stay: several states
    issue them.
    """
    return _with_jurisdiction(text, issuer, labels=r"^(OLN|DLN|DL|OL|LIC)(NO|NUMBER)?(?=[A-Z]?\d)")


def passport(text: str, issuer: str = "") -> str:
    """A passport number with its issuing state (ISO 3166 alpha-2) in front where known.

    Equal for "C01234567", "c0123 4567", "Passport No. C01234567".
    """
    kept, country = _split(text, issuer)
    kept = alphanumeric(kept, r"^(PASSPORT|PPT)(NO|NUMBER)?")
    if not (5 <= len(kept) <= 12 and re.search(r"\d{4}", kept)):
        return ""
    return f"{country}:{kept}" if country else kept


def a_number(text: str) -> str:
    """An alien registration number as nine digits (8 CFR 1.2): "A 12 345 678" is "012345678"."""
    kept = alphanumeric(text, r"^(ALIEN|USCIS)?(A|ANO|ANUMBER|NO|NUMBER)?(?=\d)")
    return kept.zfill(9) if re.fullmatch(r"\d{7,9}", kept) else ""


def payment(text: str) -> str:
    """A payment name or account seen in an advertisement: "$redlips22" and "cash.app/$RedLips22".

    Card numbers keep their digits; cash tags, wallets and handles keep letters in lower case.
    """
    kept = re.sub(r"^(https?://)?(www\.)?(cash\.app|venmo\.com|paypal\.me)/(u/)?", "", text.lower())
    kept = re.sub(r"[^a-z0-9]", "", kept)
    return kept if len(kept) >= 4 else ""


def device(text: str) -> str:
    """An IMEI (15 digits, or 14 without check digit), MAC address or serial number of a device.

    Equal for "35-209900-176148-1", "352099001761481" and "35209900176148".
    """
    kept = alphanumeric(text, r"^(IMEI|MEID|MAC|SERIAL|SN)(NO|NUMBER)?(?=[0-9A-F])")
    if re.fullmatch(r"\d{15,16}", kept):
        return alphanumeric(kept[:14])
    return kept if len(kept) >= 8 and re.search(r"\d", kept) else ""


def _with_jurisdiction(text: str, issuer: str, labels: str) -> str:
    body, place = _split(text, issuer)
    kept = alphanumeric(body, labels)
    if place and kept.startswith(place) and re.fullmatch(r"[A-Z]?\d{4,}", kept[len(place) :]):
        kept = alphanumeric(kept[len(place) :])
    if not (4 <= len(kept) <= 20 and re.search(r"\d{3}|\d.*\d.*\d", kept)):
        return ""
    return f"{place}:{kept}" if place else kept


def _split(text: str, issuer: str) -> tuple[str, str]:
    """Take a jurisdiction from the issuer, else from "MA:…" in the text."""
    head, colon, tail = text.partition(":")
    if colon and re.fullmatch(r"[A-Z]{2}", head):
        return tail, head
    return text, jurisdiction(issuer)


NUMBERED: dict[IdentifierKind, Callable[[str, str], str]] = {
    IdentifierKind.SSN: lambda value, issuer: ssn(value),
    IdentifierKind.FBI_NUMBER: lambda value, issuer: fbi_number(value),
    IdentifierKind.STATE_ID: state_id,
    IdentifierKind.DRIVER_LICENCE: driver_licence,
    IdentifierKind.PASSPORT: passport,
    IdentifierKind.A_NUMBER: lambda value, issuer: a_number(value),
    IdentifierKind.PAYMENT: lambda value, issuer: payment(value),
    IdentifierKind.DEVICE: lambda value, issuer: device(value),
}
