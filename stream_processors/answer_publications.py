"""What partners let look-ups find: the live publications of all, in memory, by token."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.inquiries import SealedCard
from schemas.packing import TOKEN, rows
from silenthit.bus.clients import Message
from stream_processors.admission import Refused
from stream_processors.look_up_admission import AdmittedPublication, admit_publication
from stream_processors.look_up_cards import sealed_card

Key = tuple[str, bytes]  # topic, and the message's key


class Publications:
    """Publications as read from `publications.*`; the last message of a key counts."""

    def __init__(self) -> None:
        """Hold none."""
        self._live: dict[Key, AdmittedPublication] = {}
        self._by_token: dict[bytes, set[Key]] = {}

    def __len__(self) -> int:
        """How many there are, expired ones too."""
        return len(self._live)

    def take(self, messages: Sequence[Message]) -> list[Refused]:
        """Take in what partners published or withdrew; return what is to be set aside."""
        refused = []
        for message in messages:
            key = message.topic, message.key or b""
            admitted = admit_publication(message) if message.value is not None else None
            if isinstance(admitted, Refused):
                refused.append(admitted)
                continue
            self._forget(key)
            if admitted is not None:
                self._live[key] = admitted
                for token in _tokens(admitted.touch.tokens):
                    self._by_token.setdefault(token, set()).add(key)
        return refused

    def keep(self, topics: frozenset[str]) -> None:
        """Forget what stands in any other topic: its partner has left."""
        for key in [key for key in self._live if key[0] not in topics]:
            self._forget(key)

    def find(self, tokens: bytes, at: int) -> list[SealedCard]:
        """Return the cards that these tokens open and that have not expired at a time in ms."""
        keys = {key for token in _tokens(tokens) for key in self._by_token.get(token, ())}
        live = [self._live[key] for key in keys if self._live[key].expires_at > at]
        latest = sorted(live, key=lambda each: each.place.appended_at, reverse=True)
        cards = (sealed_card(each.touch, tokens, published=True) for each in latest)
        return [card for card in cards if card]

    def _forget(self, key: Key) -> None:
        gone = self._live.pop(key, None)
        for token in _tokens(gone.touch.tokens) if gone else ():
            holders = self._by_token.get(token)
            if holders:
                holders.discard(key)
                if not holders:
                    del self._by_token[token]


def _tokens(packed: bytes) -> list[bytes]:
    return [row.tobytes() for row in rows(packed, TOKEN)["token"]]
