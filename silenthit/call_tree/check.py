"""Check a protocol: names, channels, gaps, branches that nothing can reach."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from itertools import combinations, islice, product

from schemas.vocabulary import INDICATORS, NIBRS_OFFENCES, TouchKind
from silenthit.call_tree.conditions import FACTS, WEEKDAYS, Fact, Test
from silenthit.call_tree.protocol import Protocol, every_branch, route
from silenthit.call_tree.schedule import gaps

LOOK_AHEAD = timedelta(days=60)
MOST_CASES = 100_000
MOST_WORDS = 6  # of one list fact of which every combination is tried
_GAPS_SHOWN = 3
_WORDS: dict[str, Collection[str]] = {
    "kind": [kind.value for kind in TouchKind],
    "decision": ["hit", "possible"],
    "indicators": INDICATORS,
    "offences": NIBRS_OFFENCES,
    "weekday": WEEKDAYS,
}


class Weight(StrEnum):
    """How bad a finding is: with an error the protocol is not used."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, and what to do."""

    weight: Weight
    text: str


def check_protocol(
    protocol: Protocol, channels: Collection[str], now: datetime
) -> tuple[Finding, ...]:
    """Return what is wrong with a protocol, errors first; `channels` are those of the settings."""
    found = [
        *_unknown_names(protocol),
        *_circles(protocol),
        *_unreachable_people(protocol, channels),
        *_last_resort(protocol, channels),
        *_unknown_words(protocol),
        *_unreachable_branches(protocol),
        *_gaps(protocol, now),
    ]
    return tuple(sorted(found, key=lambda each: each.weight is not Weight.ERROR))


def _error(text: str) -> Finding:
    return Finding(Weight.ERROR, text)


def _unknown_names(protocol: Protocol) -> Iterator[Finding]:
    callable_names = {*protocol.people, *protocol.groups, *protocol.schedules}
    if len(callable_names) < len(protocol.people) + len(protocol.groups) + len(protocol.schedules):
        yield _error("a name stands for two of people, groups and schedules; rename one of them")
    for place, names in _uses(protocol):
        for name in names:
            if name not in callable_names:
                yield _error(f"{place} calls {name}, which is no person, group or schedule")
    for name, schedule in protocol.schedules.items():
        for person in {*schedule.rotation, *(each.person for each in schedule.overrides)}:
            if person not in protocol.people:
                yield _error(f"schedule {name} has {person}, which is no person; add it to people")


def _uses(protocol: Protocol) -> Iterator[tuple[str, tuple[str, ...]]]:
    for path, branch in every_branch(protocol.branches):
        for number, level in enumerate(branch.levels, start=1):
            yield f"branch {' / '.join(path)}, level {number}", level.call
    for number, level in enumerate(protocol.operator, start=1):
        yield f"operator, level {number}", level.call
    for name, members in protocol.groups.items():
        yield f"group {name}", members
    yield "last resort", protocol.last_resort.call


def _circles(protocol: Protocol) -> Iterator[Finding]:
    for name in protocol.groups:
        if name in _members(protocol, protocol.groups[name]):
            yield _error(f"group {name} contains itself; take it out of its own members")


def _members(protocol: Protocol, names: Iterable[str]) -> set[str]:
    """Return these names and everything that groups among them lead to."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += protocol.groups.get(name, ())
    return found


def _unreachable_people(protocol: Protocol, channels: Collection[str]) -> Iterator[Finding]:
    for name, person in protocol.people.items():
        if not person.channels:
            yield _error(f"{name} has no channel and could never be called; give one")
        for channel in person.channels:
            if channel not in channels:
                yield _error(
                    f"{name} has the channel {channel}, which the settings do not know; add "
                    f"[channels.{channel}] with its url"
                )


def _last_resort(protocol: Protocol, channels: Collection[str]) -> Iterator[Finding]:
    members = _members(protocol, protocol.last_resort.call)
    for name in sorted(members & protocol.schedules.keys()):
        yield _error(f"the last resort leads to the schedule {name}, which may have nobody on duty")
    reached = [protocol.people[name] for name in members & protocol.people.keys()]
    if not any(set(person.channels) & set(channels) for person in reached):
        yield _error("the last resort reaches nobody; name somebody who has a channel")


def _unknown_words(protocol: Protocol) -> Iterator[Finding]:
    for path, branch in every_branch(protocol.branches):
        for name, test in branch.when:
            for word in _words_of(test):
                if name in _WORDS and word not in _WORDS[name]:
                    yield _error(
                        f"branch {' / '.join(path)} asks for the {name} {word}, which does not "
                        "exist; see docs/protocol.md"
                    )


def _words_of(test: Test) -> tuple[str, ...]:
    alone = (test.is_,) if isinstance(test.is_, str) else ()
    return (*alone, *(test.any_of or ()), *(test.all_of or ()), *(test.none_of or ()))


def _unreachable_branches(protocol: Protocol) -> Iterator[Finding]:
    """Try every combination of values that the conditions can tell apart."""
    wanted = {path for path, branch in every_branch(protocol.branches) if branch.levels}
    cases, whole = _telling_cases(protocol)
    reached = {route(protocol, facts).path for facts in cases}
    for path in sorted(wanted - reached):
        name = " / ".join(path)
        if whole:
            text = f"branch {name} is never reached: earlier ones take all that it asks for"
            yield Finding(Weight.ERROR, f"{text}; move it up or take it out")
        else:
            yield Finding(Weight.WARNING, f"branch {name} was not reached by any case tried")


def _telling_cases(protocol: Protocol) -> tuple[Iterator[Mapping[str, Fact]], bool]:
    asked: dict[str, list[Test]] = {}
    for _, branch in every_branch(protocol.branches):
        for name, test in branch.when:
            asked.setdefault(name, []).append(test)
    values = {name: list(_telling_values(name, tests)) for name, tests in asked.items()}
    count = 1
    for each in values.values():
        count *= len(each)
    cases = (dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))
    exact = not any(test.like for tests in asked.values() for test in tests)
    exact = exact and all(
        len({word for test in tests for word in _words_of(test)}) <= MOST_WORDS
        for name, tests in asked.items()
        if FACTS[name] is tuple
    )
    return islice(cases, MOST_CASES), exact and count <= MOST_CASES


def _telling_values(name: str, tests: list[Test]) -> Iterator[Fact]:
    """Yield at least one value of each sort that the tests can tell apart."""
    sort = FACTS[name]
    if sort is bool:
        yield from (False, True)
    elif sort is float:
        edges = {edge for t in tests for edge in (t.at_least, t.below) if edge is not None}
        yield from sorted({0.0, 1.0} | edges | {max(0.0, edge - 1e-6) for edge in edges})
    elif sort is time:
        edges_of_day = {edge for test in tests for edge in (test.between or ())}
        yield from sorted({time(0), *edges_of_day})
    else:
        words = sorted({word for test in tests for word in _words_of(test)})
        likes = [test.like.replace("*", "x").replace("?", "x") for test in tests if test.like]
        if sort is tuple:
            yield from _sets([*words, *likes])
        else:
            yield from (*words, *likes, *([] if _complete(name, words) else ["something else"]))


def _complete(name: str, words: Collection[str]) -> bool:
    return name in _WORDS and set(words) >= set(_WORDS[name])


def _sets(words: list[str]) -> Iterator[tuple[str, ...]]:
    most = len(words) if len(words) <= MOST_WORDS else 2
    for size in range(most + 1):
        yield from combinations(words, size)


def _gaps(protocol: Protocol, now: datetime) -> Iterator[Finding]:
    for name, schedule in protocol.schedules.items():
        found = list(gaps(schedule, now, now + LOOK_AHEAD))
        for gap in found[:_GAPS_SHOWN]:
            yield Finding(
                Weight.WARNING,
                f"schedule {name} has nobody from {gap.start:%Y-%m-%d %H:%M} to "
                f"{gap.end:%Y-%m-%d %H:%M} UTC; alerts climb past it",
            )
        if len(found) > _GAPS_SHOWN:
            more = len(found) - _GAPS_SHOWN
            text = f"schedule {name} has {more} more gaps in the next {LOOK_AHEAD.days} days"
            yield Finding(Weight.WARNING, text)
