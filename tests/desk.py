"""A desk for tests: where alerts are posted, a real HTTP endpoint on loopback."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Desk:
    """Where alerts are posted: counts what comes, by the alert that it names."""

    def __init__(self) -> None:
        self.posted: Counter[str] = Counter()
        self.bodies: list[str] = []
        lock, desk = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                with lock:
                    desk.bodies.append(body)
                    desk.posted[body.partition("alert ")[2][:32]] += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def channel(self) -> str:
        return f"desk=json://127.0.0.1:{self.server.server_port}/desk"


@contextmanager
def open_desk() -> Iterator[Desk]:
    """Open a desk, and close it at the end."""
    made = Desk()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
