"""A file for code that reads files."""

from __future__ import annotations

import tempfile
from pathlib import Path


def file(data: bytes, name: str = "fuzzed") -> Path:
    """The same file each time, with this in it."""
    path = folder() / name
    path.write_bytes(data)
    return path


def folder() -> Path:
    return Path(_FOLDER.name)


_FOLDER = tempfile.TemporaryDirectory()
