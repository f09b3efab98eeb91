"""A watch: whom a partner waits for, on which legal ground, and who is to be told.

    >>> from schemas.parts import PersonName
    >>> subject = Subject(names=(PersonName(surname="Doe", given="John"),))
    >>> too_little(subject)
    True

The plaintext stays in the vault; what leaves is `consumers.registrations`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import combinations

from pydantic import AwareDatetime, ValidationError

from schemas.parts import Frozen, Subject
from schemas.vocabulary import CoarseKind, admissible_pair, is_strong
from silenthit.errors import InputError, RefusedError
from silenthit.identity.match_keys import match_keys

DEFAULT_LIFE = timedelta(days=90)
GRACE = timedelta(days=7)  # an expired watch stands so much longer, while its owner is asked
LONGEST_LIFE = timedelta(days=5 * 365)  # 28 CFR 23.20(h)


class Watch(Frozen):
    """One entry of a partner's private list."""

    label: str  # the only thing of a watch that a channel may show
    legal_basis: str  # 28 CFR 23.20(a): reasonable suspicion, stated
    subjects: tuple[Subject, ...]
    expires_at: AwareDatetime
    case_number: str = ""
    kinds: tuple[CoarseKind, ...] = ()  # empty: every kind
    deliver_to: tuple[str, ...] = ()  # names of channels; empty: the partner's default


def check_watch(watch: Watch, now: datetime) -> None:
    """Refuse a watch that may not be placed, or that could never find anybody.

    Raises RefusedError without a legal basis or beyond five years, InputError for the rest; each
    says what to do.
    """
    if not watch.legal_basis.strip():
        raise RefusedError(
            "expected the legal basis of the watch, got none; state the reasonable suspicion and "
            "its grounds (28 CFR 23.20(a)) with --legal-basis: no watch is placed without it"
        )
    if watch.expires_at > now + LONGEST_LIFE:
        raise RefusedError(
            "expected an expiry within five years, got a later one; 28 CFR 23.20(h) asks for a "
            "review by then: choose an earlier date and renew the watch after its review"
        )
    if watch.expires_at <= now:
        raise InputError("expected an expiry in the future, got one that has passed")
    if not watch.label.strip():
        raise InputError("expected a label, got none; give a name that says nothing of the subject")
    if not watch.subjects:
        raise InputError("expected at least one subject, got none; add a name or an identifier")
    for number, subject in enumerate(watch.subjects, start=1):
        if too_little(subject):
            raise InputError(_what_to_add(number, subject))


def too_little(subject: Subject) -> bool:
    """Whether no touch whatever could satisfy the match rule with this subject."""
    kinds = [key.kind for key in match_keys(subject)]
    pairs = combinations([kind for kind in kinds if not is_strong(kind)], 2)
    return not any(map(is_strong, kinds)) and not any(admissible_pair(a, b) for a, b in pairs)


def _what_to_add(number: int, subject: Subject) -> str:
    """Name what is missing without quoting what is there."""
    identifiers = "an identifier (phone, plate, SSN, driver licence, e-mail …)"
    if subject.names:
        needed = f"the full date of birth, the home address, or {identifiers}"
    elif subject.birth_dates:
        needed = f"surname and given name, or {identifiers}"
    else:
        needed = f"a name with the date of birth, or {identifiers}"
    unread = [each.kind.value for each in subject.identifiers]
    hint = f"; the {', '.join(unread)} given is no usable one alone" if unread else ""
    return (
        f"expected enough of subject {number} to find anybody by, got too little{hint}; "
        f"add {needed}"
    )


def read_watch(fields: dict[str, object], now: datetime) -> Watch:
    """Build and check a watch from plain values, such as a file's.

    Raises InputError naming the fields that are not as expected, never their content.
    """
    fields = {"expires_at": now + DEFAULT_LIFE, "legal_basis": "", **fields}
    try:
        watch = Watch.model_validate(fields)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, each['loc']))}: {each['type'].replace('_', ' ')}"
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise InputError(
            f"expected a watch, got {'; '.join(faults)}; correct these fields"
        ) from None
    check_watch(watch, now)
    return watch
