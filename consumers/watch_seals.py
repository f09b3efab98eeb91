"""What registrations are sealed with on their way out: a content key an epoch, kept in the vault.

One is made anew when the exchange's watch key changes, and before it has sealed too many messages:
how many is written down before they are sent, so that no crash makes it fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict

from consumers.exchange_key import watch_key
from consumers.vault import SETTINGS, Rows, Vault
from silenthit.blinding.sealed_watches import MOST_MESSAGES, WatchSeal, watch_key_id

_PREFIX = b"exchange/watch-seal/"


class _Kept(BaseModel):
    """A seal in the vault; bytes in hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    watch_key: str
    key: str
    content_key: str
    messages: int  # that it sealed, or was about to

    @classmethod
    def of(cls, seal: WatchSeal, messages: int) -> Self:
        return cls(
            watch_key=seal.watch_key.hex(),
            key=seal.key.hex(),
            content_key=seal.content_key.hex(),
            messages=messages,
        )

    @property
    def seal(self) -> WatchSeal:
        return WatchSeal(*map(bytes.fromhex, (self.watch_key, self.key, self.content_key)))


def seals_for(vault: Vault, partner: str, counts: Mapping[int, int]) -> dict[int, WatchSeal]:
    """Return what so many messages of each epoch are sealed with.

    Nothing where the exchange has handed no watch key over: it takes plain registrations then.
    """
    with vault.write() as into:
        public = watch_key(into)
        if public is None:
            return {}
        return {
            epoch: _seal(into, public, partner, epoch, count) for epoch, count in counts.items()
        }


def _seal(into: Rows, public: bytes, partner: str, epoch: int, count: int) -> WatchSeal:
    name = _PREFIX + epoch.to_bytes(4, "big")
    row = into.get(SETTINGS, name)
    kept = _Kept.model_validate_json(row["private"]) if row else None
    fits = kept and kept.watch_key == watch_key_id(public).hex()
    if kept is None or not fits or kept.messages + count > MOST_MESSAGES:
        kept = _Kept.of(WatchSeal.fresh(public, partner, epoch), 0)
    kept = kept.model_copy(update={"messages": kept.messages + count})
    into.put(SETTINGS, name, {"private": kept.model_dump_json().encode()})
    return kept.seal
