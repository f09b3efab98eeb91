"""Three brokers that would keep a topic once are refused: nothing would outlive one of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from schemas.topics import TOUCHES
from silenthit.bus.admin import _check_replicas
from silenthit.errors import SettingsError


def cluster(brokers: int, replicas: int) -> Any:
    partition = SimpleNamespace(replicas=list(range(replicas)))
    topics = {"touches": SimpleNamespace(partitions={0: partition})}
    found = SimpleNamespace(brokers=dict.fromkeys(range(brokers)), topics=topics)
    return SimpleNamespace(list_topics=lambda timeout: found)


@pytest.mark.parametrize(("brokers", "replicas"), [(1, 1), (2, 1), (3, 3), (5, 3)])
def test_as_many_replicas_as_there_can_be_are_enough(brokers: int, replicas: int) -> None:
    _check_replicas(cluster(brokers, replicas), {"touches": TOUCHES})


def test_one_replica_on_three_brokers_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"expected 3 replicas on 3 brokers.*touches"):
        _check_replicas(cluster(3, 1), {"touches": TOUCHES})
