"""Normalisers of what a vehicle shows: plate and VIN."""

from __future__ import annotations

import re

from silenthit.identity.documents import alphanumeric
from silenthit.identity.jurisdictions import STATE_CODES

# Signs that officers and plate readers take for one another, onto one representative each.
_MISREAD = str.maketrans("OQDILZSBG", "000112586")
_LOOKS_LIKE = dict(zip("S5B8Z2G6", "5S8B2Z6G", strict=True))
_VIN_VALUES = {
    sign: int(value)
    for sign, value in zip(
        "0123456789ABCDEFGHJKLMNPRSTUVWXYZ", "012345678912345678123457923456789", strict=True
    )
}
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def plate(text: str) -> str:
    """A registration plate as written: upper case, no separators, no jurisdiction.

    Equal for "1abc 23", "1ABC-23", "MA 1ABC23" and "MA REG 1ABC23".
    """
    words = re.split(r"[^A-Z0-9]+", text.upper())
    while len(words) > 1 and (words[0] in STATE_CODES or words[0] in {"REG", "LP", "PLATE", ""}):
        words = words[1:]
    kept = alphanumeric("".join(words))
    # One sign over and over, however it is read, is a blank filled in.
    blank = len(set(kept.translate(_MISREAD))) < 2
    return kept if 2 <= len(kept) <= 8 and not blank else ""


def plate_as_read(text: str) -> str:
    """A plate with look-alike signs folded: O Q D are 0, I L are 1, Z is 2, S 5, B 8, G 6.

    Equal for "OBI 215" and "0B1-2I5".
    """
    return plate(text).translate(_MISREAD)


def vin(text: str) -> str:
    """A vehicle identification number.

    Of seventeen signs I, O and Q, which no VIN has, become 1 and 0: "1M8GDM9AXKPO42788" is
    "1M8GDM9AXKP042788". Where the check digit of a North American one is wrong and one look-alike
    read otherwise (S 5, B 8, Z 2, G 6) makes it right, that is the VIN: "1M8GDM9AXKP042788" too
    where it was read "1M8GDM9AXKP04278B". Shorter serials, of before 1981, need six digits.
    """
    kept = alphanumeric(text, r"^VIN(NO|NUMBER)?")
    if len(kept) == 17:
        return _mended(kept.translate(str.maketrans("IOQ", "100")))
    return kept if 6 <= len(kept) <= 20 and len(re.findall(r"\d", kept)) >= 6 else ""


def _mended(written: str) -> str:
    if written[0] not in "12345" or vin_checks(written):  # only North America checks
        return written
    others = (
        written[:place] + _LOOKS_LIKE[sign] + written[place + 1 :]
        for place, sign in enumerate(written)
        if sign in _LOOKS_LIKE
    )
    sound = [each for each in others if each[0] in "12345" and vin_checks(each)]
    return sound[0] if len(sound) == 1 else written


def vin_checks(text: str) -> bool:
    """Whether the ninth sign of a VIN is its check digit (49 CFR 565.15(c))."""
    if len(text) != 17 or any(sign not in _VIN_VALUES for sign in text):
        return False
    total = sum(_VIN_VALUES[sign] * weight for sign, weight in zip(text, _VIN_WEIGHTS, strict=True))
    return text[8] == "0123456789X"[total % 11]
