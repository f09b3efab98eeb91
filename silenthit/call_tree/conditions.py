"""Conditions: what a branch of a call tree asks of an alert.

    >>> conditions = parse_conditions({"minor": True, "score": {"at_least": 0.9}})
    >>> holds(conditions, {"minor": True, "score": 0.95})
    True

A fact that the alert does not have satisfies no test but `none_of`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import time
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from silenthit.errors import InputError

Fact = bool | float | str | time | tuple[str, ...] | None
Facts = Mapping[str, Fact]

# What may be asked of an alert or a tip, and what sort of value it has.
FACTS: dict[str, type] = {
    "kind": str,
    "decision": str,
    "score": float,
    "indicators": tuple,
    "offences": tuple,
    "minor": bool,
    "history": bool,
    "agency": str,
    "ori": str,
    "county": str,
    "place": str,
    "label": str,
    "case_number": str,
    "weekday": str,
    "time": time,
}
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Test(BaseModel):
    """One test of one fact; every part of it that is given has to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_: str | bool | None = None
    any_of: tuple[str, ...] | None = None
    all_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] | None = None
    at_least: float | None = None
    below: float | None = None
    like: str | None = None  # with * and ?, any case
    between: tuple[time, time] | None = None  # from, until; over midnight where until is earlier

    @model_validator(mode="after")
    def _says_something(self) -> Test:
        if not self.model_dump(exclude_none=True):
            raise ValueError("expected a test, got an empty one")
        return self

    def holds(self, fact: Fact) -> bool:
        """Whether the fact passes."""
        words = set(fact) if isinstance(fact, tuple) else {fact} if isinstance(fact, str) else set()
        number = fact if isinstance(fact, float) else None
        return (
            (self.is_ is None or fact == self.is_)
            and (self.any_of is None or not words.isdisjoint(self.any_of))
            and (self.all_of is None or words >= set(self.all_of))
            and (self.none_of is None or words.isdisjoint(self.none_of))
            and (self.at_least is None or (number is not None and number >= self.at_least))
            and (self.below is None or (number is not None and number < self.below))
            and (self.like is None or any(_like(str(word), self.like) for word in words))
            and (self.between is None or (isinstance(fact, time) and _within(fact, self.between)))
        )


Conditions = tuple[tuple[str, Test], ...]


def _like(word: str, pattern: str) -> bool:
    return fnmatchcase(word.casefold(), pattern.casefold())


def _within(moment: time, span: tuple[time, time]) -> bool:
    start, end = span
    return start <= moment < end if start < end else moment >= start or moment < end


def holds(conditions: Conditions, facts: Facts) -> bool:
    """Whether every condition holds."""
    return all(test.holds(facts.get(name)) for name, test in conditions)


def parse_conditions(written: Mapping[str, Any]) -> Conditions:
    """Read a `when` table. Raises InputError naming the fact or the test that is not known."""
    return tuple((name, _parse_test(name, value)) for name, value in written.items())


def _parse_test(name: str, value: Any) -> Test:
    sort = FACTS.get(name)
    if sort is None:
        raise InputError(f"expected a fact of an alert, got `{name}`; there are {', '.join(FACTS)}")
    try:
        test = Test.model_validate(_spelled_out(value))
    except ValidationError:
        raise InputError(
            f"expected a test of `{name}`, got something else; tests are a value, a list (any of "
            "them), or any_of, all_of, none_of, at_least, below, like, between"
        ) from None
    if not _fits(sort, test):
        raise InputError(f"expected a test that fits `{name}` ({sort.__name__}), got another sort")
    return test


def _spelled_out(value: Any) -> Any:
    if isinstance(value, (str, bool)):
        return {"is_": value}
    if isinstance(value, Sequence):
        return {"any_of": value}
    if isinstance(value, Mapping) and isinstance(value.get("between"), str):
        return {**value, "between": parse_span(value["between"])}
    return value


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text.strip()):
        raise InputError(f'expected a time of day "HH:MM", got {text.strip()!r}')
    return text.strip()


def parse_span(text: str) -> tuple[time, time]:
    """Read "22:00-06:30". Raises InputError for anything else."""
    start, _, end = text.partition("-")
    span = time.fromisoformat(_clock(start)), time.fromisoformat(_clock(end))
    if span[0] == span[1]:
        raise InputError("expected a span with an end other than its start, got none")
    return span


def within(moment: time, span: tuple[time, time]) -> bool:
    """Whether a time of day lies in a span, which may go over midnight."""
    return _within(moment, span)


def _fits(sort: type, test: Test) -> bool:
    given = set(test.model_dump(exclude_none=True))
    words = {"any_of", "all_of", "none_of"}
    if sort is bool:
        return given == {"is_"} and isinstance(test.is_, bool)
    if sort is float:
        return given <= {"at_least", "below"}
    if sort is time:
        return given == {"between"}
    if sort is tuple:
        return given <= words | {"like"}
    return given <= words | {"is_", "like"} and not isinstance(test.is_, bool)
