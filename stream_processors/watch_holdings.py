"""Count what each partner watches, by numbers alone, so that a partner that fishes is seen.

Nothing here names a watch or a token. What is counted lies on the brokers, live, and is opened with
the exchange's watch keys; padding that a partner added counts as its tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from schemas.packing import TOKEN
from schemas.topics import WATCHES
from schemas.vocabulary import MatchKeyKind, is_strong
from silenthit.blinding.epochs import Epochs
from silenthit.blinding.sealed_watches import WatchOpener
from silenthit.bus.clients import Message, TopicReader
from stream_processors.admission import AdmittedWatch, Refused, admit_watch
from stream_processors.settings import ExchangeSettings, Organisations
from stream_processors.watch_bounds import WatchBounds
from stream_processors.watch_keys import WatchKeys

DAY_MS = 86_400_000
_NAMES = {int(kind): kind.name.lower() for kind in MatchKeyKind}


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """What one partner has on the brokers, counted."""

    partner: str
    watches: int = 0
    unreadable: int = 0  # neither opened nor counted here
    tokens: int = 0
    strong: int = 0
    kinds: dict[str, int]  # tokens by kind
    most_in_a_watch: int = 0
    most_of_a_kind: int = 0  # in one watch
    watches_of_a_day: int = 0  # new or changed in the last 24 hours
    tokens_of_a_day: int = 0

    def beyond(self, bounds: WatchBounds) -> tuple[str, ...]:
        """Return the names of the bounds that it is beyond."""
        counted = {
            "tokens": self.tokens,
            "tokens_a_day": self.tokens_of_a_day,
            "tokens_of_a_kind": self.most_of_a_kind,
        }
        return tuple(name for name, count in counted.items() if count > getattr(bounds, name))


_Kinds = tuple[tuple[int, int], ...]  # kind and count


class _Held(NamedTuple):
    appended_at: int
    kinds: _Kinds


class Holdings:
    """The latest version of each registration, as counts."""

    def __init__(self, epochs: Epochs, opener: WatchOpener, now_ms: int) -> None:
        """Nothing is held yet; `now_ms` is when the last 24 hours end."""
        self._epochs, self._opener, self._now = epochs, opener, now_ms
        self._held: dict[str, dict[bytes, _Held | None]] = {}
        self._alike: dict[_Kinds, _Kinds] = {}  # many watches are made up alike: keep one

    def take(self, messages: Iterable[Message]) -> None:
        """Take messages of `watches.*` in their order."""
        for message in messages:
            partner = message.topic.removeprefix(WATCHES.of("x")[:-1])
            held, key = self._held.setdefault(partner, {}), message.key or b""
            match admit_watch(message, self._epochs, self._opener):
                case AdmittedWatch(registration=found) if found.expires_at > self._now:
                    held[key] = _Held(message.timestamp_ms, self._kinds(found.tokens))
                case Refused():
                    held[key] = None
                case _:
                    held.pop(key, None)

    def _kinds(self, tokens: bytes) -> _Kinds:
        kinds, counts = np.unique(np.frombuffer(tokens, TOKEN)["kind"], return_counts=True)
        found = tuple(zip(kinds.tolist(), counts.tolist(), strict=True))
        return self._alike.setdefault(found, found)

    def of(self, partner: str) -> Holding:
        """Return a partner's counts."""
        everything = self._held.get(partner, {})
        held = [each for each in everything.values() if each is not None]
        kinds: dict[int, int] = {}
        for each in held:
            for kind, count in each.kinds:
                kinds[kind] = kinds.get(kind, 0) + count
        fresh = [each for each in held if each.appended_at > self._now - DAY_MS]
        return Holding(
            partner=partner,
            watches=len(held),
            unreadable=len(everything) - len(held),
            tokens=sum(kinds.values()),
            strong=sum(count for kind, count in kinds.items() if is_strong(kind)),
            kinds={_name(kind): count for kind, count in sorted(kinds.items())},
            most_in_a_watch=max(map(_tokens, held), default=0),
            most_of_a_kind=max((count for each in held for _, count in each.kinds), default=0),
            watches_of_a_day=len(fresh),
            tokens_of_a_day=sum(map(_tokens, fresh)),
        )


def holdings(settings: ExchangeSettings) -> list[Holding]:
    """Return the counts of every partner, by name.

    Raises RefusedError where this process has no right to watches, RetryError when a broker is
    away.
    """
    partners = Organisations.load(settings.organisations).partners
    opener = WatchOpener(WatchKeys(settings.watch_keys))
    found = Holdings(settings.known_epochs(), opener, time.time_ns() // 1_000_000)
    if partners:
        topics = [WATCHES.of(each) for each in partners]
        with TopicReader(settings.bus.partner, topics, client_id="watch-holdings") as reader:
            for messages in reader.read_to_end():
                found.take(messages)
    return [found.of(partner) for partner in partners]


def _tokens(held: _Held) -> int:
    return sum(count for _, count in held.kinds)


def _name(kind: int) -> str:
    return _NAMES.get(kind, f"kind_{kind}")
