"""Fuzz a target: `make fuzz TARGET=wire SECONDS=3600`; what fails is left in .cache/fuzz."""

from __future__ import annotations

import argparse
import logging
import sys
from importlib import import_module
from pathlib import Path

import structlog

KEPT = Path(__file__).parent / "corpus"
FOUND = Path(".cache/fuzz")
# Packages whose branches guide the fuzzer: ours, and what reads mail and workbooks for us.
FOLLOWED = [
    *("consumers", "key_holder", "producers", "schemas", "silenthit", "stream_processors"),
    *("email", "openpyxl", "zipfile"),
]
# Comparing whole arrays leaks them, once atheris looks on: some gigabytes an hour.
LEFT_OUT = ["stream_processors.touch_columns"]


def main() -> None:
    """Run until the time is over or something fails, beginning with the kept corpus."""

    try:
        atheris = import_module("atheris")
    except ModuleNotFoundError:
        sys.exit("expected atheris; run .venv/bin/pip install -e '.[fuzz]'")
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("target")
    options.add_argument("--seconds", type=int, default=60)
    given = options.parse_args()
    with atheris.instrument_imports(include=FOLLOWED, exclude=LEFT_OUT):
        from tests.fuzz.targets import TARGETS
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found = FOUND / given.target
    found.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={given.seconds}", "-timeout=10", "-rss_limit_mb=1024"]
    folders = [str(found), str(KEPT / given.target)]
    prefix = f"-artifact_prefix={FOUND}/{given.target}-"
    atheris.Setup([sys.argv[0], *limits, "-max_len=65536", prefix, *folders], TARGETS[given.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
