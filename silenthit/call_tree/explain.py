"""Explain: who would be called when, if nobody answered; without calling anybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from silenthit.call_tree.conditions import Facts
from silenthit.call_tree.escalation import Call, Case, open_case, step
from silenthit.call_tree.protocol import Branch, Protocol, route


@dataclass(frozen=True, slots=True)
class Asked:
    """One branch that was looked at, and the condition that it failed, if any."""

    path: tuple[str, ...]
    fits: bool
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """What would happen at one moment: calls, or a wait and why."""

    at: datetime
    calls: tuple[Call, ...]
    waits_until: datetime | None = None


def asked(protocol: Protocol, facts: Facts) -> Iterator[Asked]:
    """Yield the branches in the order in which they are looked at, down to the one taken."""
    taken = route(protocol, facts).path
    yield from _asked(protocol.branches, facts, (), taken)


def _asked(
    branches: tuple[Branch, ...], facts: Facts, path: tuple[str, ...], taken: tuple[str, ...]
) -> Iterator[Asked]:
    for branch in branches:
        here = (*path, branch.name)
        failed = [name for name, test in branch.when if not test.holds(facts.get(name))]
        yield Asked(here, not failed, failed[0] if failed else "")
        if not failed:
            yield from _asked(branch.branches, facts, here, taken)
        if taken[: len(here)] == here and not failed:
            return


def timeline(protocol: Protocol, facts: Facts, now: datetime) -> Iterator[Moment]:
    """Yield every call until the last resort was called for the last time."""
    case: Case = open_case(route(protocol, facts), now)
    while case.due is not None:
        at = case.due
        case, calls = step(protocol, case, at)
        waits = case.due if not calls and case.due is not None and case.due > at else None
        yield Moment(at, calls, waits)
