"""What anybody at the exchange can read: the demo shows the touches as they lie on the bus."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from schemas import codec
from schemas.messages import SubjectTouch, TouchHeader
from schemas.packing import TOKEN, rows
from schemas.topics import TOUCHES
from silenthit.bus.clients import KafkaSettings, TopicReader

AT_ONCE = 100
READ_S = 0.2
TOKENS_SHOWN = 3
ID_DIGITS = 12
TOKEN_DIGITS = 10


class Onlooker:
    """Reads `touches` in a thread of its own and describes each one in a line."""

    def __init__(self, bootstrap: str, show: Callable[[str], None]) -> None:
        """`show` gets each line, in that thread."""
        self._settings = KafkaSettings(bootstrap_servers=bootstrap)
        self._show = show
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        reader = TopicReader(self._settings, [TOUCHES.name], client_id="silenthit-demo-onlooker")
        while not self._stop.is_set():
            for message in reader.read(AT_ONCE, READ_S):
                if message.value is not None:
                    self._show(described(codec.decode(message.value, SubjectTouch)))
        reader.close()


def described(touch: SubjectTouch) -> str:
    """Say all that a touch tells without a token's secret."""
    header = codec.decode(touch.header, TouchHeader)
    tokens = rows(touch.tokens, TOKEN)["token"]
    shown = " ".join(each.tobytes().hex()[:TOKEN_DIGITS] for each in tokens[:TOKENS_SHOWN])
    size = sum(map(len, touch.parts)) / 1024
    return (
        f"record {header.record_id.hex()[:ID_DIGITS]}  {header.kind:<9} from {header.sender}  "
        f"{len(tokens):>3} tokens {shown} …  {len(touch.parts)} sealed parts, {size:.1f} KB"
    )
