"""docker-compose.yml: valid for Docker where there is one, and sane by itself."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from tests.services import ROOT

PARTIES = {"keyholder", "worker", "answer", "deconflict", "conflicts", "partner", "agency"}


@pytest.fixture
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return found


def test_docker_accepts_it() -> None:
    command = ["docker", "compose", "-f", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    try:
        version = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("expected docker with compose, got no docker")
    if version.returncode:
        pytest.skip("expected docker with compose, got one without")
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_it_has_every_party_and_both_services(compose: dict[str, Any]) -> None:
    assert compose["services"].keys() == {"kafka", "redis", "set-up"} | PARTIES


def test_every_volume_and_dependency_it_names_is_declared(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert {one.partition(":")[0] for one in service["volumes"]} <= compose["volumes"].keys()
        assert service.get("depends_on", {}).keys() <= services.keys()


def test_services_that_are_waited_for_can_tell_their_health(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for name, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in services[name]


def test_no_party_sees_the_volume_of_another(compose: dict[str, Any]) -> None:
    blind = ("worker", "answer", "deconflict", "conflicts")
    own = {each: each for each in PARTIES} | dict.fromkeys(blind, "exchange")
    for party, volume in own.items():
        seen = {one.partition(":")[0] for one in compose["services"][party]["volumes"]}
        assert seen - {"handover"} == {volume}
    # The exchange is blind: it never sees the folder where the development secrets lie.
    for each in blind:
        assert "handover:/" not in "".join(compose["services"][each]["volumes"])


def test_kafka_makes_no_topics_by_itself(compose: dict[str, Any]) -> None:
    assert compose["services"]["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
