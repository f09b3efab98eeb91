"""A Python with quixstreams in it: its pins do not go with ours, so it has an environment apart."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WHERE = ROOT / ".cache" / "bench-quixstreams"
WANTED = "quixstreams>=3.28,<4"


def quix_python() -> str | None:
    """Return the interpreter; None, with a word on standard error, when it can't be had."""
    python = WHERE / "bin" / "python"
    if not (WHERE / ".installed").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", str(WHERE)], check=True)
            pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, WANTED], check=True)
        except subprocess.CalledProcessError:
            print("quixstreams can't be installed: its rows are left out", file=sys.stderr)
            return None
        # Whatever it does not bring itself comes from our own environment, after its own.
        own = next((WHERE / "lib").iterdir()) / "site-packages"
        (own / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        (WHERE / ".installed").touch()
    return str(python)
