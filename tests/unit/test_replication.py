"""Three brokers that would keep a topic once are refused: nothing would outlive one of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from silenthit.bus.admin import _check_replicas
from silenthit.errors import SettingsError


def touches(replicas: int) -> dict[str, Any]:
    return {"touches": {0: SimpleNamespace(replicas=list(range(replicas)))}}


@pytest.mark.parametrize(("brokers", "replicas"), [(1, 1), (2, 1), (3, 3), (5, 3)])
def test_as_many_replicas_as_there_can_be_are_enough(brokers: int, replicas: int) -> None:
    _check_replicas(brokers, touches(replicas))


def test_one_replica_on_three_brokers_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"expected 3 replicas on 3 brokers.*touches"):
        _check_replicas(3, touches(1))
