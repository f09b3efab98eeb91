"""Where each node of the exchange lives: a network of its own, and a small disk, where root is.

The driver begins itself anew by `unshare`, in namespaces of its own: what it starts, mounts and
connects ends with it, however it ends. Elsewhere all nodes share the loopback interface and the
disk, and what needs a network or a disk of a node's own is not run.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.services import free_port

UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
MARK = "SILENTHIT_FAULTS_ALONE"
# Everything that `Boxes` will do, tried once.
TRIAL = """set -e
ip link set lo up; mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns
ip link add hub type bridge; ip netns add trial; ip link add w0 type veth peer name eth0 netns trial
mount -t tmpfs -o size=1m tmpfs /run/netns"""
HUB = "10.77.0.1"
CHUNK = 1 << 16


def alone() -> bool:
    """Whether this process has namespaces of its own."""
    return os.environ.get(MARK) == "1"


def go_alone() -> str | None:
    """Begin this program anew in namespaces of its own; return why not, where that can't be."""
    if alone():
        return None
    if os.geteuid() != 0:
        return "needs root"
    if not all(map(shutil.which, ("unshare", "ip", "mount"))):
        return "needs unshare, ip and mount: deploy/install-services"
    tried = subprocess.run([*UNSHARE, "sh", "-c", TRIAL], capture_output=True, check=False)
    if tried.returncode:
        return "root may make no namespaces here"
    os.environ[MARK] = "1"
    command = [*UNSHARE, sys.executable, "-m", "tests.faults.run", *sys.argv[1:]]
    return os.execvp("unshare", command)  # noqa: S606 no shell is meant


class Boxes:
    """One box a node. `cut`, `split` and `fill` do what `heal` and `clear` undo."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.alone = folder, alone()
        self._names: list[str] = []
        self._split: list[tuple[str, str]] = []
        if self.alone:
            _run("ip link set lo up")
            Path("/run/netns").mkdir(parents=True, exist_ok=True)
            _run("mount -t tmpfs tmpfs /run/netns")
            _run("ip link add hub type bridge")
            _run(f"ip addr add {HUB}/24 dev hub")
            _run("ip link set hub up")

    def add(self, name: str, megabytes: int) -> Path:
        """Make the box of a node; return its disk."""
        self._names.append(name)
        disk = self._folder / name
        disk.mkdir(parents=True)
        if self.alone:
            _run(f"mount -t tmpfs -o size={megabytes}m tmpfs {disk}")
            _run(f"ip netns add {name}")
            _run(f"ip link add w-{name} type veth peer name eth0 netns {name}")
            _run(f"ip link set w-{name} master hub up")
            _run(f"ip -n {name} addr add {self.address(name)}/24 dev eth0")
            _run(f"ip -n {name} link set eth0 up")
            _run(f"ip -n {name} link set lo up")
        return disk

    def address(self, name: str) -> str:
        """Return where a node listens, and where it is seen to come from."""
        return f"10.77.0.{11 + self._names.index(name)}" if self.alone else "127.0.0.1"

    def port(self, usual: int) -> int:
        """Return a port for one node: the usual one where its address is its own."""
        return usual if self.alone else free_port()

    def inside(self, name: str) -> list[str]:
        """Return the words that start a command in a box."""
        if self.alone:
            return ["ip", "netns", "exec", name]
        return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []

    def cut(self, name: str) -> None:
        """Let nothing in or out, and nobody know."""
        _run(f"ip link set w-{name} nomaster")

    def split(self, one: str, other: str) -> None:
        """Let two nodes see everybody but each other."""
        if (one, other) in self._split:
            return
        self._split.append((one, other))
        for here, there in ((one, other), (other, one)):
            _run(f"ip -n {here} route add blackhole {self.address(there)}/32")

    def heal(self) -> None:
        """Join all again."""
        for one, other in self._split:
            for here, there in ((one, other), (other, one)):
                _run(f"ip -n {here} route del blackhole {self.address(there)}/32")
        self._split.clear()
        for name in self._names if self.alone else ():
            _run(f"ip link set w-{name} master hub")

    def fill(self, name: str) -> None:
        """Leave not a byte on a node's disk."""
        with self._ballast(name).open("ab", buffering=0) as file:
            size = CHUNK
            while size:
                try:
                    file.write(bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def clear(self) -> None:
        """Give every disk its space back."""
        for name in self._names:
            with suppress(FileNotFoundError):
                self._ballast(name).unlink()

    def _ballast(self, name: str) -> Path:
        return self._folder / name / "ballast"


def _run(command: str) -> None:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"expected `{command}` to succeed, got: {done.stderr.strip()}")
