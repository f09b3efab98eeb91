"""Leads: what was seen with a subject, and what of it may be followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from consumers.associations import FOLLOWABLE, FollowPolicy
from consumers.opened_alerts import OpenedAlert
from consumers.watch_tree import Branch
from schemas.parts import Identifier, Subject
from schemas.vocabulary import IdentifierKind, SubjectRole
from silenthit.identity.match_keys import MatchKey, match_keys

_SPARED = {SubjectRole.VICTIM, SubjectRole.WITNESS, SubjectRole.OFFICER}


@dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """An identifier seen with the subject, and why it is not followed, if so."""

    identifier: Identifier = field(repr=False)
    refused: str = ""


def seen_with(opened: OpenedAlert, policy: FollowPolicy) -> list[Identifier]:
    """Return the identifiers seen with the one watched, and those of the touch tied to nobody."""
    if opened.verdict is None:
        return []
    number = opened.verdict.touch_subject
    found = [*opened.subjects[number].identifiers] if number in opened.subjects else []
    found += opened.common.items if opened.common else ()
    for other, subject in sorted(opened.subjects.items()):
        if policy.companions and other != number and _may_lead(subject):
            found += subject.identifiers
    wanted = set(policy.kinds or FOLLOWABLE) | {IdentifierKind.ADDRESS}
    return list(dict.fromkeys(each for each in found if each.kind in wanted))


def _may_lead(companion: Subject) -> bool:
    return companion.role not in _SPARED and not companion.minor


def keys_of(identifiers: Iterable[Identifier]) -> set[MatchKey]:
    """Return the match keys by which these identifiers are followed."""
    subject = Subject(identifiers=tuple(identifiers))
    return {key for key in match_keys(subject) if key.kind.name in _KEY_NAMES}


_KEY_NAMES = {kind.name for kind in FOLLOWABLE}


def judged(
    seen: Sequence[Identifier], whole: Sequence[Branch], policy: FollowPolicy
) -> Iterator[Lead]:
    """Say of each identifier whether it is followed in this tree, and if not why."""
    watched: set[MatchKey] = set()
    dropped: dict[MatchKey, str] = {}
    for each in whole:
        keys = keys_of(i for subject in each.watch.subjects for i in subject.identifiers)
        association = each.watch.association
        if each.stands:
            watched |= keys
        elif association is not None and association.let_go:
            dropped |= dict.fromkeys(keys, association.let_go)
    room = policy.most - sum(each.stands for each in whole[1:])
    for identifier in seen:
        keys = keys_of([identifier])
        refused = _refusal(identifier, keys, watched, dropped, room)
        room -= not refused
        watched |= keys
        yield Lead(identifier=identifier, refused=refused)


def _refusal(
    identifier: Identifier,
    keys: set[MatchKey],
    watched: set[MatchKey],
    dropped: dict[MatchKey, str],
    room: int,
) -> str:
    if identifier.kind is IdentifierKind.ADDRESS:
        return "an address alone finds nobody by the match rule"
    if not keys:
        return "it cannot be read"
    if keys <= watched:
        return "it is watched already"
    why = next((dropped[key] for key in keys if key in dropped), "")
    if why:
        return why
    return "" if room > 0 else "the tree has as many watches as it may have"


def shown(opened: OpenedAlert | None) -> set[MatchKey]:
    """Return the keys of all that an alert shows and that could be followed."""
    return keys_of(seen_with(opened, FollowPolicy(companions=True))) if opened else set()
