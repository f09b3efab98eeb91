"""While the demo runs, nobody but its key holders has the secret."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from silenthit.blinding.epoch_secrets import EpochSecrets

REPOSITORY = Path(__file__).resolve().parents[2]
ROLES = ("broker", "work", "agency", "receive", "tail", "watch")
LONGEST_S = 240

pytestmark = pytest.mark.slow


class Watchman:
    """Looks, again and again, at every process that works in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arguments: set[bytes] = set()
        self.environments: set[bytes] = set()
        self.opened: set[tuple[bytes, Path]] = set()

    def look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if not (process / "cwd").readlink().is_relative_to(self.folder):
                    continue
                arguments = (process / "cmdline").read_bytes()
                if b"keyholder" in arguments.split(b"\0"):
                    continue
                self.arguments.add(arguments)
                self.environments.add((process / "environ").read_bytes())
                for each in (process / "fd").iterdir():
                    self.opened.add((arguments, each.readlink()))
            except OSError:
                continue  # it ended meanwhile


@pytest.mark.timeout(LONGEST_S + 60)
@pytest.mark.parametrize("holders", [("federal",), ("federal", "state")], ids=["one", "two"])
def test_only_the_key_holders_have_the_secret(tmp_path: Path, holders: tuple[str, ...]) -> None:
    kept = tmp_path / "kept"
    options = ("--split-trust",) if len(holders) > 1 else ()
    watchman = Watchman(kept)
    demo = subprocess.Popen(
        [sys.executable, "-m", "silenthit", "demo", "--json", "--keep", str(kept), *options],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ended = threading.Event()
    waiting = threading.Thread(target=lambda: (demo.wait(LONGEST_S), ended.set()))
    waiting.start()
    try:
        while not ended.wait(0.05):
            watchman.look()
    finally:
        demo.terminate()
        waiting.join()
    assert demo.returncode == 0
    _nothing_found(kept, watchman, holders)


def _nothing_found(kept: Path, watchman: Watchman, holders: tuple[str, ...]) -> None:
    custody = {kept / each / "secrets" for each in holders}
    seeds = [
        seed
        for folder in custody
        for path in folder.iterdir()
        for seed in EpochSecrets.load(path).seeds.values()
    ]
    assert len(seeds) == 3 * len(holders)
    forms = [form for seed in seeds for form in (seed, seed.hex().encode())]
    for role in ROLES:
        assert any(role.encode() in each for each in watchman.arguments), f"{role} was looked at"
    for content in watchman.arguments | watchman.environments:
        assert not any(form in content for form in forms)
    for arguments, path in watchman.opened:
        assert path.parent not in custody, arguments
    for path in kept.rglob("*"):
        if path.is_file() and path.parent not in custody:
            assert not any(form in path.read_bytes() for form in forms), path
