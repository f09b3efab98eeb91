"""A watched folder: whatever is put there is read once, then lies in done/ or failed/.

incoming/            files arrive here, written in place or moved in
incoming/working/    taken, being read; what lies here after a crash is read again
incoming/done/       every record of it was accepted
incoming/failed/     some or all were not: <file>.reasons.txt says where and what to do
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

import structlog

from producers.intake import Take, Tally
from producers.records import Outcome, Place, Rejection
from producers.sources import files
from producers.sources.mapping import ColumnMapping
from silenthit.errors import SilentHitError

MOST_REASONS = 1000
_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", "~")
_log = structlog.get_logger(__name__)


@dataclass(kw_only=True, slots=True)
class Folder:
    """One watched folder. A file is taken when two polls in a row saw it unchanged.

    Not by its age: clocks of file servers differ, and run backwards.
    """

    name: str
    every_s: float
    path: Path
    mapping: ColumnMapping
    timezone: tzinfo
    _seen: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def poll(self, take: Take, stopped: Callable[[], bool] = lambda: False) -> Tally:
        """Read every file that is ready, oldest first, and return what became of the records.

        Raises RetryError when the outbox can't be written, OSError when the folder can't: the file
        in hand stays in working/ and is read by the next poll.
        """
        for each in ("working", "done", "failed"):
            (self.path / each).mkdir(parents=True, exist_ok=True)
        total = Tally()
        for left in sorted((self.path / "working").iterdir()):
            if stopped():
                break
            total += self._read(left, take, stopped)
        for name in self._ready():
            if stopped():
                break
            taken = self.path / "working" / name
            try:
                (self.path / name).rename(taken)
            except FileNotFoundError:
                continue  # renamed or taken away meanwhile
            total += self._read(taken, take, stopped)
        return total

    def _ready(self) -> list[str]:
        """Names of files that did not change since the last poll, oldest first."""
        now: dict[str, tuple[int, int, int]] = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False) and not _unfinished(entry.name):
                    status = entry.stat(follow_symlinks=False)
                    now[entry.name] = (status.st_mtime_ns, status.st_size, status.st_ino)
        ready = [name for name, state in now.items() if self._seen.get(name) == state]
        self._seen = {name: state for name, state in now.items() if name not in ready}
        return sorted(ready, key=lambda name: (now[name], name))

    def _read(self, path: Path, take: Take, stopped: Callable[[], bool]) -> Tally:
        rejections = _Reasons()
        try:
            outcomes = files.read(path, self.mapping, self.timezone)
            tally = take(_until(stopped, outcomes), rejections.add)
        except _StoppedError:
            return Tally()  # it stays in working/; what was taken of it will be unchanged
        except SilentHitError:
            raise
        except Exception as error:  # noqa: BLE001
            # A bug of ours must not stop the folder; the file waits where somebody will look.
            _log.exception("file failed", file=path.name, exc_info=error)
            rejections.add(_bug(path.name, error))
            tally = Tally(rejected=1)
        self._put_away(path, rejections)
        _log.info("file read", file=path.name, accepted=tally.accepted, rejected=tally.rejected)
        return tally

    def _put_away(self, path: Path, rejections: _Reasons) -> None:
        goal = _free(self.path / ("failed" if rejections.count else "done") / path.name)
        if rejections.count:
            goal.with_name(goal.name + ".reasons.txt").write_text(rejections.text(), "utf-8")
        path.rename(goal)


class _StoppedError(Exception):
    """The agent ends, in the middle of a file."""


def _until(stopped: Callable[[], bool], outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Yield outcomes for as long as the agent runs: a file may take an hour."""
    for number, each in enumerate(outcomes):
        if number and stopped():
            raise _StoppedError
        yield each


@dataclass(slots=True)
class _Reasons:
    """Why records of a file were not taken; a wrong mapping gives one for every row."""

    count: int = 0
    _first: list[str] = field(default_factory=list)

    def add(self, rejection: Rejection) -> None:
        self.count += 1
        if self.count <= MOST_REASONS:
            self._first.append(f"{rejection}\n")

    def text(self) -> str:
        more = self.count - len(self._first)
        return "".join(self._first) + (f"and {more:,} more\n" if more else "")


def _unfinished(name: str) -> bool:
    return name.startswith(".") or name.lower().endswith(_UNFINISHED)


def _free(path: Path) -> Path:
    """The path itself, or with a number where something lies there already."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return free


def _bug(name: str, error: Exception) -> Rejection:
    return Rejection(
        Place(name),
        f"to read the file, got {type(error).__name__}",
        "this is a bug: report it with the log, and put the file back once it is mended",
    )
