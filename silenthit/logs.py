"""Logs: one JSON object a line on standard error, and never what a message says.

    configure_logs()
    structlog.get_logger(__name__).warning("quarantined", topic=topic, offset=offset, reason=reason)

Whatever is logged, fields that carry content are withheld, bytes become their length, and of an
exception only its kind and place remain: the texts of exceptions quote what they failed on.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter

from silenthit.errors import SilentHitError

# Names of fields that hold a message's content, a person, or a secret.
WITHHELD = frozenset(
    {
        "body",
        "headers",
        "identifier",
        "key",
        "name",
        "narrative",
        "parts",
        "payload",
        "plaintext",
        "secret",
        "subject",
        "token",
        "tokens",
        "value",
    }
)
MARK = "withheld"
# Frameworks tell every step at INFO.
TALKATIVE = ("aiokafka", "apprise", "faust", "httpx", "mode")

Event = MutableMapping[str, Any]


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever is standard error at the time, which some programs exchange."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        pass


def configure_logs(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send the logs of structlog and of the standard library, from `level` up, to one place."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        exceptions_without_texts,
        withhold_content,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream) if stream else _StandardError()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(sort_keys=True),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def withhold_content(logger: Any, method: str, event: Event) -> Event:  # noqa: ARG001 structlog's signature
    """Withhold the value of each field that carries content; no field is dropped."""
    for field, value in event.items():
        if field.startswith("_"):
            continue
        event[field] = MARK if field in WITHHELD else _harmless(value)
    return event


def exceptions_without_texts(logger: Any, method: str, event: Event) -> Event:  # noqa: ARG001 structlog's signature
    """Replace an exception by its kind and the places it went through.

    The text of our own errors is kept: it says what to do, and holds no content.
    """
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else _exception(info)
    if error is not None:
        event["exception"] = _kind(error)
        event["trace"] = _places(error.__traceback__)
    return event


def _exception(info: Any) -> BaseException | None:
    if isinstance(info, tuple):
        info = info[1]
    return info if isinstance(info, BaseException) else None


def _kind(error: BaseException) -> str:
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, SilentHitError) else name


def _places(trace: TracebackType | None) -> list[str]:
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)
    ]


def _harmless(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    if isinstance(value, BaseException):
        return _kind(value)
    if isinstance(value, dict):
        return {key: MARK if key in WITHHELD else _harmless(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_harmless(inner) for inner in value]
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    return type(value).__name__ if hasattr(value, "model_fields") else str(value)
