from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from silenthit.errors import InputError
from silenthit.logs import WITHHELD, configure_logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs("INFO", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_all_its_fields(stream: io.StringIO) -> None:
    structlog.get_logger("bus").info("quarantined", topic="touches", offset=7, reason="mac")
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "quarantined",
        "level": "info",
        "logger": "bus",
        "topic": "touches",
        "offset": 7,
        "reason": "mac",
    }


@pytest.mark.parametrize("field", sorted(WITHHELD))
def test_content_is_withheld_but_seen_to_be_there(stream: io.StringIO, field: str) -> None:
    structlog.get_logger("bus").info("read", **{field: "Jane Roe"}, inner={field: "Jane Roe"})
    (line,) = lines(stream)
    assert line[field] == "withheld"
    assert "Roe" not in stream.getvalue()


def test_bytes_become_their_length_wherever_they_are(stream: io.StringIO) -> None:
    structlog.get_logger("bus").info("read", blob=b"Jane Roe", several=[b"Jane", {"x": b"Roe"}])
    (line,) = lines(stream)
    assert line["blob"] == "8 bytes"
    assert line["several"] == ["4 bytes", {"x": "3 bytes"}]


@pytest.mark.parametrize("foreign", [False, True])
def test_an_exception_leaves_its_kind_and_place_but_not_its_text(
    stream: io.StringIO, foreign: bool
) -> None:
    logger = logging.getLogger("faust") if foreign else structlog.get_logger("bus")
    try:
        int("Jane Roe")
    except ValueError:
        logger.exception("failed")
    (line,) = lines(stream)
    assert line["exception"] == "ValueError"
    assert any("test_logs.py" in place for place in line["trace"])
    assert "Roe" not in stream.getvalue()


def test_our_own_errors_keep_their_text(stream: io.StringIO) -> None:
    structlog.get_logger("bus").warning("refused", error=InputError("expected a date"))
    assert lines(stream)[0]["error"] == "InputError: expected a date"


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    structlog.get_logger("bus").debug("detail")
    logging.getLogger("bus").debug("detail")
    assert stream.getvalue() == ""
