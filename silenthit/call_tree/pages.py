"""Pages: messages on their way to channels, and what a store of them has to do.

A page is queued in the transaction that stores its cause; `silenthit.call_tree.posting` posts it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict


class PageState(StrEnum):
    """Where a page is on its way."""

    DUE = "due"
    POSTING = "posting"  # somebody holds a lease; due again when that runs out
    POSTED = "posted"
    CANCELLED = "cancelled"  # withdrawn, claimed or overtaken before it was posted


class PageKind(StrEnum):
    """What a page is for."""

    ALERT = "alert"  # to channels, such as those of a watch
    CALL = "call"  # to one person, by the call tree
    NOTICE = "notice"  # to those who have it: it was claimed, closed, withdrawn …


class Page(BaseModel):
    """What is posted, and where."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: PageKind
    fields: dict[str, str]  # that may be shown anywhere
    channels: tuple[str, ...]
    first_is_enough: bool = False  # stop at the first channel that takes it
    person: str = ""  # who is called or told; nobody's own on a channel of several


class TryOutcome(StrEnum):
    """What became of one post to one channel."""

    TRYING = "trying"  # not known: a crash, unless it is being posted now
    POSTED = "posted"
    FAILED = "failed"
    NO_CHANNEL = "no_channel"  # the settings do not name it


@dataclass(frozen=True, kw_only=True, slots=True)
class Leased:
    """A page that nobody else will post for a while."""

    page_id: bytes
    about: bytes  # what it is about: an alert, a tip …
    page: Page = field(repr=False)
    tries: int  # rounds before this one
    until: int  # when the lease ends


class PageStore(Protocol):
    """Pages and the tries to post them; each method is one transaction. Times are in ms."""

    def lease(self, now: int, until: int) -> Leased | None:
        """Take the page that has been due longest for this process alone, None when there is none.

        Due are those whose `due_at` has come and that are DUE, or POSTING with a lease run out.
        """
        ...

    def tries(self, page_id: bytes) -> list[tuple[str, TryOutcome]]:
        """Return channel and outcome of every try of a page so far."""
        ...

    def begin(self, leased: Leased, channel: str, now: int) -> bytes | None:
        """Write down that a post is about to be made; return the try's id.

        None, having written nothing, when the page was cancelled or the lease is another's by now.
        """
        ...

    def end(self, try_id: bytes, outcome: TryOutcome) -> None:
        """Write down what became of it."""
        ...

    def done(self, leased: Leased) -> None:
        """It is POSTED, unless it was cancelled or leased to another."""
        ...

    def again(self, leased: Leased, due_at: int) -> None:
        """It is DUE again then, one round later, unless it was cancelled or leased to another."""
        ...
