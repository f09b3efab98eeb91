"""The matching worker on stock Faust: its own aiokafka transport, an event a touch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from faust.transport.drivers import aiokafka

from stream_processors import exchange


class StockConsumer(aiokafka.Consumer):
    """Nothing changed; it only answers what the worker asks."""

    async def is_member(self) -> bool:
        """One worker is alone in its group."""
        return True


class StockTransport(aiokafka.Transport):
    """Nothing changed; it only has the attribute that the wiring sets."""

    Consumer = StockConsumer
    batched: frozenset[str] = frozenset()


def use_stock_transport(wiring: Any) -> None:
    """Put Faust's transport, and the buffers that it comes with, into the wiring."""
    wiring.PromptTransport = StockTransport
    wiring.WAITING = exchange.WAITING = 4_096  # Faust's default, in events
    exchange._records = lambda event: [_record(event.message)]  # noqa: SLF001 it is what is replaced


def _record(message: Any) -> SimpleNamespace:
    return SimpleNamespace(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp=round(message.timestamp * 1000),
        key=message.key,
        value=message.value,
        headers=tuple(message.headers or ()),
    )
