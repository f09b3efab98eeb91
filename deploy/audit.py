"""Hold requirements.lock to a local copy of the PyPA advisory database: `make audit ADVISORIES=…`.

pip-audit asks a service over the network and has no way to read a copy; this reads the files that
such a service is fed from (github.com/pypa/advisory-database, `vulns/<name>/*.yaml`, in the OSV
format). It knows what the copy knows: how old that is stands in the last line.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from packaging.version import InvalidVersion, Version

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
OLD = timedelta(days=14)
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


class Finding(NamedTuple):
    """An advisory that a locked version is affected by."""

    name: str
    version: str
    advisory: str
    fixed: str


def locked(text: str) -> dict[str, str]:
    """Return the versions of a lock by normalised name."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in _PIN.findall(text)}


def advisories(folder: Path, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield what stands of one package, without what was withdrawn."""
    for path in sorted((folder / "vulns" / name).glob("*.yaml")):
        found = yaml.safe_load(path.read_text("utf-8"))
        if not found.get("withdrawn"):
            yield found


def affected(advisory: Mapping[str, Any], name: str, version: str) -> str | None:
    """Return the version that mends it ("" where there is none), None when this one is not hit."""
    for each in advisory.get("affected", ()):
        if each["package"]["name"].lower() != name:
            continue
        ranges = [r["events"] for r in each.get("ranges", ()) if r["type"] == "ECOSYSTEM"]
        if version in each.get("versions", ()) or any(_within(r, version) for r in ranges):
            return ", ".join(e["fixed"] for r in ranges for e in r if "fixed" in e)
    return None


def _within(events: list[Mapping[str, str]], version: str) -> bool:
    """Whether a version lies between an `introduced` and its `fixed` or `last_affected`."""
    inside = False
    for event in sorted(events, key=lambda each: Version(next(iter(each.values())))):
        ((kind, at),) = event.items()
        if kind == "introduced" and Version(version) >= Version(at):
            inside = True
        elif (kind == "fixed" and Version(version) >= Version(at)) or (
            kind == "last_affected" and Version(version) > Version(at)
        ):
            inside = False
    return inside


def findings(folder: Path, lock: Mapping[str, str]) -> list[Finding]:
    """Return every advisory that hits a locked version. Raises InvalidVersion for odd files."""
    found = []
    for name, version in lock.items():
        for advisory in advisories(folder, name):
            fixed = affected(advisory, name, version)
            if fixed is not None:
                found.append(Finding(name, version, advisory["id"], fixed or "nothing yet"))
    return found


def newest(folder: Path) -> datetime:
    """Return when the latest advisory of the copy was changed: it knows nothing after that."""
    dates = re.compile(r"^modified: [\"']?([0-9-]{10})", re.MULTILINE)
    said = [dates.search(path.read_text("utf-8")) for path in folder.glob("vulns/*/*.yaml")]
    return datetime.fromisoformat(max(each[1] for each in said if each)).replace(tzinfo=UTC)


def main() -> int:
    """Print what was found. 0: nothing; 1: something; 2: no advisories to look in."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("advisories", type=Path, nargs="?", default=Path())
    folder = options.parse_args().advisories
    if not any(folder.glob("vulns/*/*.yaml")):
        print(
            "Nothing was audited: expected a copy of the PyPA advisory database; clone "
            "pypa/advisory-database and run `make audit ADVISORIES=<folder>`.",
            file=sys.stderr,
        )
        return 2
    lock = locked(LOCK.read_text("utf-8"))
    try:
        found = findings(folder, lock)
    except (InvalidVersion, yaml.YAMLError, KeyError) as error:
        print(f"Not audited: a file of the copy is in another format ({error}).", file=sys.stderr)
        return 2
    for each in found:
        print(f"{each.name} {each.version}: {each.advisory}, mended in {each.fixed}")
    until = newest(folder)
    old = " That is old: update the copy." if datetime.now(UTC) - until > OLD else ""
    print(f"{len(lock)} packages, {len(found)} findings, advisories up to {until:%Y-%m-%d}.{old}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
