"""What a watch must have before it may be placed, and before it can find anybody.

>>> from schemas.parts import PersonName
>>> too_little(Subject(names=(PersonName(surname="Doe", given="John"),)))
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from pydantic import ValidationError

from consumers.areas import check_ahead, check_area
from consumers.watches import FIRST_VALIDATION, LONGEST_LIFE, NEXT_VALIDATION, Watch
from schemas.parts import Subject
from schemas.vocabulary import CoarseKind, admissible_pair, is_strong
from silenthit.errors import InputError, RefusedError
from silenthit.identity.match_keys import match_keys


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
    if not watch.stated_by.strip():
        raise RefusedError(
            "expected who states the suspicion, got nobody; name them with --stated-by (in a file: "
            "stated_by): a ground that nobody stands for is none (28 CFR 23.20(a))"
        )
    if max(watch.expires_at, watch.ends_at or watch.expires_at) > now + LONGEST_LIFE:
        raise RefusedError(
            "expected an end within five years, got a later one; 28 CFR 23.20(h) asks for a "
            "review by then: choose an earlier date and renew the watch after its review"
        )
    if watch.expires_at <= now:
        raise InputError(
            "expected an expiry in the future, got one that has passed; give a later one"
        )
    if not watch.label.strip():
        raise InputError("expected a label, got none; give a name that says nothing of the subject")
    if not watch.subjects and watch.area is None:
        raise InputError(
            "expected at least one subject or a place, got none; add a name or an identifier, or "
            "--area"
        )
    check_findable(watch.subjects)
    if watch.area is not None:
        check_area(watch.area)
        if watch.kinds and CoarseKind.OPERATION not in watch.kinds:
            raise InputError(
                "expected operations among the kinds wanted, as they are what a place is watched "
                "for, got others; add --kind operation"
            )


def check_findable(subjects: Sequence[Subject]) -> None:
    """Raise InputError, saying what to add, for the first subject that no touch could meet."""
    for number, subject in enumerate(subjects, start=1):
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


def read_watch(fields: Mapping[str, Any], now: datetime) -> Watch:
    """Build and check a watch from plain values, such as a file's.

    Raises InputError naming the fields that are not as expected, never their content.
    """
    given = {"label": "", "legal_basis": "", "expires_at": now + FIRST_VALIDATION, **fields}
    try:
        watch = Watch.model_validate(given)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, each['loc']))}: {each['type'].replace('_', ' ')}"
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise InputError(
            f"expected a watch, got {'; '.join(faults)}; correct these fields"
        ) from None
    watch = _within_its_time(watch)
    check_watch(watch, now)
    return watch


def _within_its_time(watch: Watch) -> Watch:
    """Let a watch of a place and a time alone end with that time at the latest."""
    if watch.place_alone is None:
        return watch
    until = min(watch.expires_at, watch.place_alone.ends_at)
    return watch.model_copy(update={"expires_at": until})


def new_watch(fields: Mapping[str, Any], now: datetime) -> Watch:
    """Like `read_watch`, for one that begins now: however late it ends, it is validated first."""
    watch = read_watch(fields, now)
    if watch.area is not None:
        check_ahead(watch.area, now)
    first = now + FIRST_VALIDATION
    if watch.expires_at <= first:
        return watch
    return watch.model_copy(update={"expires_at": first, "ends_at": watch.expires_at})


def validated(watch: Watch, now: datetime, days: int | None = None) -> Watch:
    """Return the watch after a review: for a year, for `days`, or until the end it was given.

    Raises RefusedError when that end is reached and no days are given.
    """
    until = now + (NEXT_VALIDATION if days is None else timedelta(days=days))
    ends = watch.ends_at
    if watch.place_alone is not None:
        until = min(until, watch.place_alone.ends_at)
    if ends is not None and days is None:
        until = min(until, ends)
    if until <= now:
        raise RefusedError(
            "expected a watch that may stand longer, got one whose own end has come; say with "
            "--days for how long the review lets it stand"
        )
    changed = {
        "expires_at": until,
        "ends_at": ends if ends is not None and ends >= until else None,
        "reviewed_at": now,
    }
    return watch.model_copy(update=changed)
