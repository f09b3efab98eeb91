"""What identifiers, places and street names look like in a narrative."""

from __future__ import annotations

import re

from producers.narrative_words import word_among
from schemas.vocabulary import IdentifierKind
from silenthit.identity.jurisdictions import STATE_CODES, STATES

# Words of any length are met, so that each pattern begins only where a word does.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
PHONE = re.compile(
    r"(?<![\w$.-])(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ ./-]?)\d{3}[ .-]?\d{4}(?![\w-])"
    r"|\+\d{1,3}(?:[ .-]?\d{2,4}){3,4}(?!\d)"
)
_STATE_CODE = "|".join(sorted(STATE_CODES))
_STATE = "|".join(
    [
        *sorted((name for name in STATES if name.isalpha()), key=len, reverse=True),
        *("nev", "new hampshire", "new york", "new jersey", "new mexico", "rhode island"),
        *("north carolina", "south carolina", "west virginia", "tamaulipas", "[A-Za-z]{2}"),
    ]
)
_PLATE_SIGNS = (
    r"(?:(?=[A-Z0-9]*[ -]?[A-Z0-9]*\d)[A-Z0-9]{2,4}[ -][A-Z0-9]{2,4}|(?=[A-Z0-9]*\d)[A-Z0-9]{3,8})"
)
_PLATE_CUE = (
    r"(?:licen[cs]e plates?|reg(?:istration)?s?|plates?|tags?|lp|lic(?:en[cs]e)?)\b"
    r"\s*(?:number|no\.?|#|of|:|,)?\s*"
)
PLATE_WORD = re.compile(word_among("plate|reg|tag|lp|lic"))
STATE_BEFORE = re.compile(rf"(?i)\b(?:{_STATE})\s+$")
STATE_SIGNS = 40  # at most, with the space behind it
PLATE = re.compile(
    rf"(?<!driver )(?<!driver's )\b(?i:(?:(?P<state>{_STATE})\s+)?{_PLATE_CUE})"
    rf"(?:(?P<after>{_STATE_CODE}) )?(?P<plate>{_PLATE_SIGNS})(?![A-Za-z0-9])"
)
PLATE_OF_VEHICLE = re.compile(
    rf"\b(?:(?i:bearing|displaying|veh|vehicle|,)\s+)(?P<state>(?i:{_STATE}))\s+"
    r"(?P<plate>(?=[A-Z0-9]*\d)(?=[A-Z0-9]*[A-Z])[A-Z0-9]{5,8})\b"
)
_PLATFORM = (
    r"instagram|insta|ig|facebook|fb|snapchat|snap|sc|tiktok|twitter|telegram|tele|whatsapp"
    r"|onlyfans|kik"
)
_PROFILE_URL = re.compile(r"(?i)\b(?:https?://)?(?:www\.)?(?:facebook|instagram|tiktok|twitter|"
                          r"onlyfans|snapchat|t)\.(?:com|me)/[\w.@/-]*\w")  # fmt: skip
HANDLE = re.compile(rf"(?P<platform>{word_among(_PLATFORM)})\b(?P<between>[^.\n]{{0,45}}?)"
                     r"(?P<handle>@[\w.]{2,29}\w|(?<![\w.@])(?=\w*[\d_]|\w+\.\w)(?i:[a-z])[\w.]{2,29}(?<=[\w]))"
                     r"(?![\w@])")  # fmt: skip
AT_HANDLE = re.compile(r"(?<![\w.])@[A-Za-z][\w.]{2,29}(?<=\w)")
# As advertisements and phones show them: a cash tag or payment page, an IMEI.
_PAYMENT = re.compile(
    r"(?i)(?<![\w.])(?:(?:https?://)?(?:cash\.app/\$?|venmo\.com/(?:u/)?|paypal\.me/)[\w-]{3,30}"
    r"|\$[a-z]\w{2,19})"
)
_DEVICE = re.compile(r"(?i)\bIMEI\b[\s:#]{0,3}(\d(?:[ -]?\d){13,15})(?!\d)")
# Each with what stands, in lower case, in all that it finds: most texts have none of it.
PLAIN = (
    (IdentifierKind.EMAIL, _EMAIL, ("@",)),
    (IdentifierKind.SOCIAL_HANDLE, _PROFILE_URL, (".com/", ".me/")),
    (IdentifierKind.PAYMENT, _PAYMENT, ("$", ".app/", ".com/", ".me/")),
    (IdentifierKind.DEVICE, _DEVICE, ("imei",)),
)
PRICE = re.compile(r"\$\s?\d[\d,]*(?:\.\d\d)?|\b\d[\d,]*(?= dollars\b)")
STREET = re.compile(
    r"\b\d{1,5}\s(?:[NSEW]\.?\s)?(?:[A-Z0-9][\w']*\s){1,3}(?i:st(?:reet)?|ave(?:nue)?|r(?:oa)?d|blvd|"
    r"dr(?:ive)?|l(?:a)?ne?|way|ct|court|pl(?:ace)?|sq|hwy|highway|terrace|ter)\b\.?"
)
_QUOTED = r"[\"'“‘](?P<quoted>[A-Z][\w' ]{1,18}?)[\"'”’]"
STREET_NAMES = (
    re.compile(word_among(
                   r"aka|a/k/a|also known as|street name|moniker|nickname|goes by|"
                   r"known(?: \w+)* as|knows(?: \w+)* as|guy called|man called|girl called|"
                   r"woman called|addresses (?:him|her|one female) as|"
                   r"describes?d? (?:him|her|one female) as|text|answering as|female as")
               + r"[:\s]+(?:" + _QUOTED + r"|(?P<bare>(?:El |La |Big |Lil )?[A-Z][A-Za-z]{2,15}))"),
    re.compile(r"(?<=\w )" + _QUOTED + r"(?=\s+[A-Z])"),
    re.compile(r"(?i:stated that |met )" + _QUOTED),
)  # fmt: skip
BIRTH = re.compile(
    r"(?i)\b(?:dob|d\.o\.b\.?|born)\b[\s:#]*(\d{1,2}[/-]\d{1,2}[/-]\d{2,4}|\d{8}|\d{6})"
)
