"""Who is on board stays known while the directory can't be read."""

from __future__ import annotations

import json
from pathlib import Path

from stream_processors.settings import Organisations


def test_a_half_edited_directory_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "organisations.json"
    known = Organisations().with_partner("fbi-hartford")
    known.save(path)
    path.write_text(path.read_text()[:-10])
    assert known.reread(path) == known


def test_a_directory_that_can_be_read_replaces_what_was_known(tmp_path: Path) -> None:
    path = tmp_path / "organisations.json"
    Organisations().with_partner("hsi-newark").save(path)
    found = Organisations().with_partner("fbi-hartford").reread(path)
    assert found.partners == ("hsi-newark",)
    assert json.loads(path.read_text())["processes"] == []
