"""A matching worker as it is run, which also tells how loading went and when watches took effect.

    python -m benchmarks.match.serve CONFIGURATION OUTPUT [--core 0]

Writes OUTPUT when its index is loaded (JSON); ends, with another file `.end`, when `.stop` is made.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from silenthit.bus.clients import Message
from stream_processors.match_worker import MatchWorker
from stream_processors.settings import ExchangeSettings
from stream_processors.watch_index import WatchIndex


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("configuration", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--core", type=int)
    parser.add_argument("--name", default="bench")
    chosen = parser.parse_args()
    sys.argv = sys.argv[:1]
    if chosen.core is not None:
        os.sched_setaffinity(0, {chosen.core})
    import mode.loop  # noqa: PLC0415

    mode.loop.use("uvloop")
    import faust  # noqa: PLC0415

    from stream_processors import app as wiring  # noqa: PLC0415

    settings = ExchangeSettings.model_validate_json(chosen.configuration.read_bytes())
    before = resident()
    began: list[float] = []
    visible: list[float] = []
    restore, loaded = wiring.Exchange._restore, WatchIndex.loaded  # noqa: SLF001 where loading begins
    take = MatchWorker.take_watches

    async def restoring(exchange: Any) -> None:
        began.extend((time.perf_counter(), time.process_time()))
        await restore(exchange)

    def tell(index: WatchIndex) -> None:
        loaded(index)
        about = {
            "seconds": time.perf_counter() - began[0],
            "cpu_seconds": time.process_time() - began[1],
            "watches": len(index),
            "bytes": index.nbytes,
            "resident": resident() - before,
        }
        beside = chosen.output.with_suffix(".new")
        beside.write_text(json.dumps(about), encoding="utf-8")
        beside.replace(chosen.output)

    async def taking(worker: MatchWorker, messages: Sequence[Message]) -> Any:
        new = await take(worker, messages)
        if began and chosen.output.exists():
            now = time.time() * 1000
            visible.extend(now - message.timestamp_ms for message in messages)
        return new

    def stop_when_told() -> None:
        while not chosen.output.with_suffix(".stop").exists():
            time.sleep(0.1)
        chosen.output.with_suffix(".end").write_text(
            json.dumps({"visible_ms": visible}), encoding="utf-8"
        )
        os._exit(0)

    wiring.Exchange._restore = restoring  # type: ignore[method-assign]  # noqa: SLF001
    WatchIndex.loaded = tell  # type: ignore[method-assign]
    MatchWorker.take_watches = taking  # type: ignore[method-assign]
    threading.Thread(target=stop_when_told, daemon=True).start()
    ready_file = chosen.output.with_suffix(".ready")
    app = wiring.make_app(settings, name=chosen.name, ready_file=ready_file)
    faust.Worker(
        app, loglevel="WARNING", quiet=True, redirect_stdouts=False, override_logging=False
    ).execute_from_commandline()


if __name__ == "__main__":
    main()
