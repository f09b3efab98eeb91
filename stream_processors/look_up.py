"""Look up: which touches and publications an inquiry's tokens find, as sealed cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from typing import Protocol

from schemas.inquiries import SealedCard
from schemas.packing import TOKEN, rows
from schemas.vocabulary import admissible_pair, is_strong
from silenthit.blinding.epochs import Epochs
from silenthit.bus.clients import Message
from silenthit.bus.sender import SenderKey
from stream_processors.admission import AdmittedTouch, admit_touch
from stream_processors.answer_publications import Publications
from stream_processors.look_up_cards import sealed_card
from stream_processors.look_up_index import LookUpIndex
from stream_processors.pointers import UNFOUND, Pointer

MOST_CARDS = 48
_MOST_READ = 64  # of the latest candidates; some are not found, or turn out not to match

Places = Sequence[tuple[int, int]]


class TouchReader(Protocol):
    """Where touches are read again."""

    async def read(self, places: Places) -> list[Message]:
        """Return the touches that still lie at these (partition, offset)."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The cards for one inquiry, the latest first."""

    cards: tuple[SealedCard, ...] = field(repr=False)
    more: bool


class LookUp:
    """Finds cards. It knows pointers, touches and publications, and of watches nothing."""

    def __init__(
        self,
        *,
        index: LookUpIndex,
        touches: TouchReader,
        publications: Publications,
        keys: Mapping[str, SenderKey],
        epochs: Epochs,
    ) -> None:
        """`keys` are the enrolled agencies' sender keys by id; the owner may replace them."""
        self.keys, self.publications = keys, publications
        self._index, self._touches, self._epochs = index, touches, epochs

    async def find(self, tokens: bytes, at: int) -> Found:
        """Return the cards that these tokens (rows of `packing.TOKEN`) open at a time in ms."""
        published = self.publications.find(tokens, at)
        pointers = await self._candidates(tokens)
        room = max(0, MOST_CARDS - len(published))
        touches = await self._read(pointers[:_MOST_READ], _month(at))
        found = [
            card
            for touch in sorted(touches, key=lambda each: each.place.appended_at, reverse=True)
            if (card := _card(touch, tokens))
        ]
        return Found(
            cards=(*published[:MOST_CARDS], *found[:room]),
            more=len(found) > room or len(published) > MOST_CARDS or len(pointers) > _MOST_READ,
        )

    async def _candidates(self, tokens: bytes) -> list[Pointer]:
        """Return the pointers that could satisfy the rule, the latest touch first."""
        strong, pairs = _by_strength(tokens)
        weak = {token for pair in pairs for token in pair}
        held = await self._index.holders([*strong, *weak])
        found: dict[bytes, Pointer] = {}
        for token in strong:
            found |= held[token]
        for first, second in pairs:
            found |= {each: held[first][each] for each in held[first].keys() & held[second]}
        return sorted(found.values(), key=lambda each: each.appended_at, reverse=True)

    async def _read(self, pointers: Sequence[Pointer], month: str) -> list[AdmittedTouch]:
        """Read touches again; leave out what has expired and what is not for look-ups."""
        messages = await self._touches.read([(p.partition, p.offset) for p in pointers])
        return [
            touch
            for touch in self._admitted(messages)
            if touch.header.kind not in UNFOUND and touch.header.expiry_month >= month
        ]

    def _admitted(self, messages: Iterable[Message]) -> Iterable[AdmittedTouch]:
        for message in messages:
            touch = admit_touch(message, self.keys, self._epochs.accepts_touch)
            if isinstance(touch, AdmittedTouch):
                yield touch


def _card(touch: AdmittedTouch, tokens: bytes) -> SealedCard | None:
    return sealed_card(touch.touch, tokens, unlisted=touch.header.unlisted)


def _by_strength(tokens: bytes) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """Split tokens into the strong ones, and the pairs of weak ones that count together."""
    strong, weak = [], []
    for row in rows(tokens, TOKEN):
        kind, token = int(row["kind"]), row["token"].tobytes()
        if is_strong(kind):
            strong.append(token)
        else:
            weak.append((kind, token))
    pairs = [(a, b) for (x, a), (y, b) in combinations(weak, 2) if admissible_pair(x, y)]
    return strong, pairs


def _month(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m")
