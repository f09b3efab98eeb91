"""What may stand in the repository: no host of a package registry, no path of one machine."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.services import ROOT

NEVER = re.compile(
    r"(https?://[\w.-]*(pypi|pythonhosted|maven)[\w.-]*/(?!POM)(?!xsd))|--(extra-)?index-url|--find-links"
    r"|(?<!\w)/(home|root|Users)/\w",
    re.IGNORECASE,
)


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("expected a git checkout, got a plain folder")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


def test_no_registry_and_no_path_of_one_machine_is_committed() -> None:
    found = []
    for path in committed():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {hit[0]}" for hit in NEVER.finditer(text)]
    assert found == []


def test_every_requirement_is_locked_by_hash() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9_.-]+==[\w.]+ ", entry.strip(), re.IGNORECASE), entry[:80]
        assert "--hash=sha256:" in entry


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {
        re.split(r"[<>=\[;~! ]", one)[0].lower().replace("_", "-")
        for group in (project["dependencies"], *project["optional-dependencies"].values())
        for one in group
    }
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = {
        name.lower().replace("_", "-") for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)
    }
    assert wanted - locked == {"silenthit"}
