"""What each state of an epoch allows."""

from __future__ import annotations

import pytest

from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.errors import SettingsError

ALL = Epochs(dict(enumerate(EpochState, start=1)))


def numbers(*states: EpochState) -> set[int]:
    return {number for number, state in ALL.states.items() if state in states}


def test_new_touches_are_sealed_in_the_current_epoch() -> None:
    assert {ALL.current} == numbers(EpochState.CURRENT)


@pytest.mark.parametrize("states", [{}, {1: EpochState.PREPARED}, dict.fromkeys([1, 2], "current")])
def test_none_or_two_current_epochs_are_an_error_of_the_settings(states: dict) -> None:
    epochs = Epochs({number: EpochState(state) for number, state in states.items()})
    with pytest.raises(SettingsError, match="expected one current epoch"):
        _ = epochs.current


def test_touches_and_their_watches_are_taken_until_the_epoch_is_destroyed() -> None:
    known = set(ALL.states) - numbers(EpochState.DESTROYED)
    assert {number for number in range(10) if ALL.accepts_touch(number)} == known
    assert {number for number in range(10) if ALL.accepts_watch(number)} == known


def test_watches_are_registered_from_prepared_to_draining() -> None:
    wanted = numbers(EpochState.PREPARED, EpochState.CURRENT, EpochState.DRAINING)
    assert set(ALL.watchable) == wanted
    assert list(ALL.watchable) == sorted(ALL.watchable)
