from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import yaml

from consumers.templates import PRIVATE, PUBLIC
from silenthit.call_tree.check import check_protocol
from silenthit.call_tree.conditions import FACTS
from silenthit.call_tree.protocol import parse_protocol, route

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")


def test_the_example_of_the_documentation_is_sound_and_does_what_it_says() -> None:
    found = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    protocol = parse_protocol(yaml.safe_load(found[1]))
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert check_protocol(protocol, ("reyes_sms", "okafor_sms", "desk"), now) == ()
    assert route(protocol, {"minor": True}).name == "children"
    custody = {"minor": False, "decision": "hit", "kind": "arrest", "score": 0.97}
    assert route(protocol, custody).name == "hits / in custody"
    assert route(protocol, {**custody, "score": 0.5}).name == "hits"
    assert route(protocol, {"minor": False, "decision": "possible"}).name == "the rest"


def test_every_fact_and_every_field_is_documented() -> None:
    for word in (*PUBLIC, *PRIVATE, *FACTS):
        assert f"`{word}`" in TEXT, word
