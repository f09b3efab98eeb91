"""What is installed is what the lock names, by version and hash; and the lock can be audited."""

from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.audit import LOCK, Finding, findings, locked, newest

LOCKED = locked(LOCK.read_text("utf-8"))
OURS = "silenthit"
INSTALLED = {
    canonicalize_name(each.metadata["Name"]): each.version for each in metadata.distributions()
}
# Reciprocal licences, each with what it asks of us: nothing is changed, nothing linked in.
RECIPROCAL = {
    "certifi": "MPL-2.0",
    "hypothesis": "MPL-2.0",
    "pathspec": "MPL-2.0",
    "psycopg": "LGPL-3.0",
    "psycopg-binary": "LGPL-3.0",
}


def test_everything_locked_is_installed_at_its_version() -> None:
    assert {name: INSTALLED.get(name) for name in LOCKED} == LOCKED


def test_every_line_of_the_lock_has_hashes_and_names_no_other_place_to_get_it() -> None:
    text = LOCK.read_text("utf-8")
    entries = re.split(r"^(?=[a-z0-9][a-z0-9._-]*==)", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(LOCKED) > 100
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry) for entry in entries)
    assert not re.search(
        r"https?://|git\+|file:|^-", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    )


def test_all_that_we_ask_for_and_all_that_this_asks_for_is_locked() -> None:
    """So that nothing unlocked is needed, whatever else lies in a developer's environment."""
    reached, waiting = set[tuple[str, str]](), [(OURS, "dev"), (OURS, "fuzz"), (OURS, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in reached:
            continue
        reached.add((name, extra))
        for each in map(Requirement, metadata.requires(name) or ()):
            if each.marker is None or each.marker.evaluate({"extra": extra}):
                needed = canonicalize_name(each.name)
                assert each.specifier.contains(INSTALLED[needed], prereleases=True)
                waiting += [(needed, ""), *((needed, more) for more in each.extras)]
    assert {name for name, _ in reached} - {OURS} == LOCKED.keys()


def test_nothing_else_is_installed() -> None:
    more = INSTALLED.keys() - LOCKED.keys() - {OURS, "pip"}
    if more and not os.environ.get("CI"):
        pytest.skip(f"a developer's own: {', '.join(sorted(more))}; CI allows none")
    assert not more


def test_every_licence_is_stated_and_the_reciprocal_ones_are_known() -> None:
    stated = {name: licence(name) for name in LOCKED}
    assert [name for name, said in stated.items() if not said] == []
    reciprocal = re.compile(r"\b[AL]?GPL|General Public|\bMPL|Mozilla|\bEUPL|\bSSPL")
    assert {name for name, said in stated.items() if reciprocal.search(said)} == RECIPROCAL.keys()


def licence(name: str) -> str:
    """What a distribution says: an SPDX expression, classifiers, a first line, or a file."""
    about = metadata.metadata(name)
    classed = [each for each in about.get_all("Classifier", []) if each.startswith("License")]
    first = (about.get("License") or "").partition("\n")[0]
    said = [about.get("License-Expression"), first, *classed, *about.get_all("License-File", [])]
    return "\n".join(filter(None, said))


def test_an_audit_finds_what_hits_a_locked_version_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "vulns" / "quill"
    folder.mkdir(parents=True)
    cases = {
        "fixed-later": [{"introduced": "0"}, {"fixed": "2.10"}],
        "fixed-before": [{"introduced": "0"}, {"fixed": "2.9"}],
        "came-later": [{"introduced": "2.10"}],
        "came-again": [{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.9"}],
        "until-this": [{"introduced": "0"}, {"last_affected": "2.9"}],
        "until-before": [{"introduced": "0"}, {"last_affected": "2.8"}],
    }
    for name, events in cases.items():
        write(folder / f"{name}.yaml", name, [{"type": "ECOSYSTEM", "events": events}])
    write(folder / "listed.yaml", "listed", [], versions=["2.9"])
    write(folder / "withdrawn.yaml", "withdrawn", [], versions=["2.9"], withdrawn="2026-01-01")
    write(folder / "commits.yaml", "commits", [{"type": "GIT", "events": [{"introduced": "0"}]}])
    found = findings(tmp_path, {"quill": "2.9", "ink": "1.0"})
    assert [each.advisory for each in found] == [
        "came-again",
        "fixed-later",
        "listed",
        "until-this",
    ]
    assert found[1] == Finding("quill", "2.9", "fixed-later", "2.10")
    assert f"{newest(tmp_path):%Y-%m-%d}" == "2026-11-02"


def write(path: Path, name: str, ranges: list[object], **more: object) -> None:
    package = {"ecosystem": "PyPI", "name": "Quill"}
    versions = more.pop("versions", [])
    one = {"package": package, "ranges": ranges, "versions": versions}
    lines = [f"id: {name}", "modified: 2026-11-02T07:18:27Z", f"affected: {[one]!r}"]
    lines += [f"{key}: {value}" for key, value in more.items()]
    path.write_text("\n".join(lines))
