"""Two-letter codes of the places that issue licences, plates and state IDs."""

from __future__ import annotations

import re

_USPS = """
alabama AL alaska AK arizona AZ arkansas AR california CA colorado CO connecticut CT delaware DE
district_of_columbia DC florida FL georgia GA hawaii HI idaho ID illinois IL indiana IN iowa IA
kansas KS kentucky KY louisiana LA maine ME maryland MD massachusetts MA michigan MI minnesota MN
mississippi MS missouri MO montana MT nebraska NE nevada NV new_hampshire NH new_jersey NJ
new_mexico NM new_york NY north_carolina NC north_dakota ND ohio OH oklahoma OK oregon OR
pennsylvania PA puerto_rico PR rhode_island RI south_carolina SC south_dakota SD tennessee TN
texas TX utah UT vermont VT virginia VA virgin_islands VI washington WA west_virginia WV
wisconsin WI wyoming WY guam GU mass MA calif CA penn PA penna PA fla FL conn CT
""".split()

STATES = {name.replace("_", ""): code for name, code in zip(_USPS[::2], _USPS[1::2], strict=True)}
STATE_CODES = frozenset(STATES.values())


def jurisdiction(text: str) -> str:
    """Return the two-letter code of a state or country, "" when there is none.

    Equal for "MA", "ma", "Massachusetts", "US-MA", "Mass.".
    """
    letters = re.sub(r"[^A-Z]", "", text.upper())
    if len(letters) == 4 and letters[:2] == "US":
        return letters[2:]
    return letters if len(letters) == 2 else STATES.get(letters.lower(), "")
