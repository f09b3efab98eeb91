"""Registrations that came before their epoch, or the key they are sealed to, is known here.

Each is quarantined when it comes, and taken when what it waits for is known. Of those that are too
many to keep, it is remembered from where to read them again.
"""

from __future__ import annotations

from collections.abc import Callable

from silenthit.bus.clients import Message
from stream_processors.admission import WAITING, AdmittedWatch, Refused, Removal, waits_for
from stream_processors.checkpoint import Log

MOST = 20_000  # registrations kept, 5 KB each

Judge = Callable[[Message], AdmittedWatch | Removal | Refused]


class EarlyWatches:
    """One a worker; `judge` says of a registration what it is by now."""

    def __init__(self, judge: Judge) -> None:
        """Begin with none."""
        self._judge = judge
        self._kept: dict[tuple[str, bytes | None], Message] = {}
        # Of those that were too many to keep, the first of each log and of what it waits for.
        self._passed: dict[tuple[str, int, bytes], Message] = {}

    def keep(self, message: Message) -> None:
        """Keep a registration that has to wait, in its last version."""
        if len(self._kept) < MOST:
            self._kept[message.topic, message.key] = message
        else:
            place = message.topic, message.partition, waits_for(message)
            self._passed.setdefault(place, message)

    def forget(self, message: Message) -> None:
        """Keep an earlier version no longer: this one is taken."""
        self._kept.pop((message.topic, message.key), None)

    def due(self) -> list[Message]:
        """Return those whose epoch or key has become known since they came."""
        return [message for message in self._kept.values() if self._is_known(message)]

    def is_due_again(self) -> bool:
        """Whether `due_again` has anything to say."""
        return any(map(self._is_known, self._passed.values()))

    def due_again(self) -> dict[Log, int]:
        """Return from where to read watches again: what they waited for is known, few were kept."""
        due = [key for key, message in self._passed.items() if self._is_known(message)]
        positions: dict[Log, int] = {}
        for message in map(self._passed.pop, due):
            log = message.topic, message.partition
            positions[log] = min(message.offset, positions.get(log, message.offset))
        return positions

    def places(self) -> list[tuple[str, int, int]]:
        """Return topic, partition and offset of each that waits."""
        several = [*self._kept.values(), *self._passed.values()]
        return [(message.topic, message.partition, message.offset) for message in several]

    def _is_known(self, message: Message) -> bool:
        judged = self._judge(message)
        return not (isinstance(judged, Refused) and judged.reason in WAITING)
