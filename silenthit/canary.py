"""The canary: a subject that stands for nobody, one an agency, known at both edges."""

from __future__ import annotations

import re

from schemas.parts import Identifier, Subject
from schemas.vocabulary import IdentifierKind, SubjectRole

# RFC 2606 keeps `.invalid` out of use, so no person's address is ever equal to it.
DOMAIN = "canary.silenthit.invalid"


def canary_subject(ori: str) -> Subject:
    """Subject of an agency's canary touch, and of a partner's watch for it; `ori` names the agency.

    Raises ValueError for an ORI of anything but letters and digits.
    """
    if not re.fullmatch(r"[A-Za-z0-9]{1,20}", ori):
        raise ValueError("expected an ORI of letters and digits; give the agency's own")
    address = Identifier(kind=IdentifierKind.EMAIL, value=f"{ori.lower()}@{DOMAIN}")
    return Subject(role=SubjectRole.CONTACT, identifiers=(address,))
