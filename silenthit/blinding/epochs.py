"""Epochs: the lifetime of one set of key-holder secrets, and what each state allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from silenthit.errors import SettingsError


class EpochState(StrEnum):
    """Where an epoch is in its life (design section 4); it only ever moves down this list."""

    PREPARED = "prepared"  # watches are retokened into it
    CURRENT = "current"  # new touches are sealed in it
    DRAINING = "draining"  # late touches still accepted
    READING = "reading"  # only look-back and look-up, until its last touch expires
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Epochs:
    """The state of every epoch, as the key holder declared it."""

    states: Mapping[int, EpochState]

    @property
    def current(self) -> int:
        """The epoch that new touches are sealed in. Raises SettingsError unless there is one."""
        found = [epoch for epoch, state in self.states.items() if state is EpochState.CURRENT]
        if len(found) != 1:
            raise SettingsError(f"expected one current epoch, got {len(found)}; check `epochs`")
        return found[0]

    @property
    def watchable(self) -> tuple[int, ...]:
        """The epochs a watch is registered in: prepared, current and draining, in order."""
        wanted = (EpochState.PREPARED, EpochState.CURRENT, EpochState.DRAINING)
        return tuple(sorted(epoch for epoch, state in self.states.items() if state in wanted))

    @property
    def readable(self) -> tuple[int, ...]:
        """The epochs that a touch may be in: current, draining and reading, in order."""
        wanted = (EpochState.CURRENT, EpochState.DRAINING, EpochState.READING)
        return tuple(sorted(epoch for epoch, state in self.states.items() if state in wanted))

    def accepts_touch(self, epoch: int) -> bool:
        """Whether the exchange takes a touch of this epoch: any whose secrets are not destroyed.

        Agencies seal in the current epoch alone. The exchange hears of a turn sooner or later than
        they do, and works through a backlog: a touch sealed in time must not be lost to that.
        """
        return self.states.get(epoch) not in (None, EpochState.DESTROYED)

    def accepts_watch(self, epoch: int) -> bool:
        """Whether the exchange indexes a watch of this epoch: while it takes touches of it."""
        return self.accepts_touch(epoch)
