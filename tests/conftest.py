"""What every test has: its services, no network where none belongs, markers by fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

from tests.services import (  # noqa: F401 fixtures are found by name
    bus,
    embedded_broker,
    fresh_kafka,
    fresh_topic,
    kafka,
    module_kafka,
    outside_data,
    postgres_url,
    postgresql_server,
    redis_cluster_url,
    redis_nodes,
    redis_server,
    redis_url,
    session_redis,
)

# Other work on the same cores makes single examples slow; that is no finding.
settings.register_profile("silenthit", deadline=None, print_blob=True)
settings.load_profile("silenthit")

MARKERS = {
    "kafka": "kafka",
    "fresh_kafka": "kafka",
    "module_kafka": "kafka",
    "redis_server": "redis",
    "redis_url": "redis",
    "redis_nodes": "redis",
    "postgres_url": "postgresql",
    "outside_data": "outside",
}
OFFLINE = {"unit", "properties", "vectors"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the services it asks for."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKERS:
                item.add_marker(MARKERS[fixture])


@pytest.fixture(autouse=True)
def _offline(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forbid sockets to tests that promise to need none."""
    if OFFLINE.isdisjoint(request.path.parts):
        yield
        return
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
