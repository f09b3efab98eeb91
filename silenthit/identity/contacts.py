"""Normalisers of ways to reach a person: phone, e-mail, social handle.

Every function is total on any text, idempotent, and returns "" when nothing usable is left.
"""

from __future__ import annotations

import re
from functools import lru_cache

_EXTENSION = re.compile(r"(?i)\s*(;?ext\.?=?|extension|x|#)\s*\d{1,6}\s*$")
_NANP = re.compile(r"1?([2-9]\d\d)([2-9]\d{6})")

_LONGEST_NUMBER = 80  # signs of a telephone number, however it is written
_AREA_CODE = 4  # one sign more than it has
_LONGEST_ADDRESS = 320  # RFC 5321: 64 signs, "@", 255 signs
_SAME_MAILBOX = {"googlemail.com": "gmail.com", "protonmail.com": "proton.me", "pm.me": "proton.me"}
_IGNORES_DOTS = frozenset({"gmail.com"})

_PLATFORMS = {
    "facebook": "facebook", "fb": "facebook", "instagram": "instagram", "ig": "instagram",
    "insta": "instagram", "snapchat": "snapchat", "snap": "snapchat", "sc": "snapchat",
    "tiktok": "tiktok", "twitter": "x", "x": "x", "telegram": "telegram", "tg": "telegram",
    "tme": "telegram", "youtube": "youtube", "onlyfans": "onlyfans", "linkedin": "linkedin",
    "whatsapp": "whatsapp", "kik": "kik", "reddit": "reddit", "discord": "discord",
    "threads": "threads", "vk": "vk", "wechat": "wechat", "signal": "signal",
    "skipthegames": "skipthegames", "backpage": "backpage",
}  # fmt: skip
_URL = re.compile(
    r"(?i)^(?:https?://)?(?:[a-z]{1,3}\.)?(t\.me|[a-z]+)(?:\.(?:com|net|org|me))?/"
    r"(?:add/|u/|user/|in/|profile\.php\?id=|people/[^/]+/|@)?([\w.\-@]+)"
)


def phone(text: str, area_code: str = "") -> str:
    """A telephone number in E.164, without its extension: "+16175550123".

    Equal for "(617) 555-0123", "617.555.0123 x12", "+1 617 555 0123", and for "555-0123" with area
    code "617". Seven digits without an area code name eight million lines, so they are refused, as
    are repeated digits. Numbers from abroad need their "+" or "011".
    """
    bare = text.strip()
    return _e164(bare, area_code[:_AREA_CODE]) if len(bare) <= _LONGEST_NUMBER else ""


@lru_cache(maxsize=4096)
def _e164(text: str, area_code: str) -> str:
    bare = _EXTENSION.sub("", text.strip())
    digits = re.sub(r"[^0-9]", "", bare)
    if re.search(r"[A-Za-z*]{3}", bare) or len(set(digits)) < 2 or not digits.isascii():
        return ""
    abroad = bare.lstrip("(").startswith("+") or digits.startswith("011")
    if abroad and not re.fullmatch(_NANP, digits):
        return _international(digits.removeprefix("011"))
    if len(digits) == 7 and re.fullmatch(r"[2-9][0-9]{2}", area_code):
        digits = area_code + digits
    return f"+1{digits[-10:]}" if _NANP.fullmatch(digits) else ""


def _international(digits: str) -> str:
    # Only here: importing its tables costs a tenth of a second that most numbers need not pay.
    import phonenumbers  # noqa: PLC0415

    try:
        number = phonenumbers.parse(f"+{digits}", None)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def email(text: str) -> str:
    """An e-mail address as its mailbox: lower case, without sub-address, Gmail without dots.

    Equal for "J.Doe+ads@GoogleMail.com" and "jdoe@gmail.com"; "mailto:" and brackets are dropped.
    """
    if len(text) > _LONGEST_ADDRESS or not text.isascii():
        return ""
    found = re.search(r"([\w.!#$%&'*+/=?^`{|}~-]+)@([\w-]+(?:\.[\w-]+)+)", text.lower())
    if not found:
        return ""
    mailbox, domain = found[1].removeprefix("mailto:"), _SAME_MAILBOX.get(found[2], found[2])
    mailbox = mailbox.partition("+")[0]
    if domain in _IGNORES_DOTS:
        mailbox = mailbox.replace(".", "")
    mailbox = mailbox.strip(".")
    return f"{mailbox}@{domain}" if mailbox else ""


def social_handle(text: str, platform: str = "") -> str:
    """A handle with its platform in front: "instagram:red.lips".

    Equal for "@Red.Lips" on "IG", "https://www.instagram.com/red.lips/" and "instagram:red.lips".
    Without a platform only the handle is kept. At least three signs.
    """
    body, where = text.strip(), platform
    if url := _URL.match(body):
        where, body = url[1], url[2]
    elif labelled := re.match(r"(?i)^([a-z.]+)\s*[:@]\s*@?([\w.\-]+)$", body):
        where, body = labelled[1], labelled[2]
    where = re.sub(r"\.(com|net|org)$", "", where.strip().lower())
    where = re.sub(r"[^a-z]", "", where)
    where = _PLATFORMS.get(where, where)
    handle = re.sub(r"[^a-z0-9_.\-]", "", body.lower()).strip(".-")
    if len(handle) < 3:
        return ""
    return f"{where}:{handle}" if where else handle
