"""Records a second that the HTTP intake keeps on one core: posted together, and one by one.

The server, fsyncs included, has a core to itself; the vendors have the others, and write their
requests to sockets kept open: an HTTP client in Python would take longer than the server.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from producers.http_intake import HttpIntake
from producers.http_server import HttpServer
from producers.idempotency import Answers
from producers.intake import Intake
from producers.outbox import Outbox
from producers.settings import IntakeSettings

TOKEN = "a-token-of-twenty-and-more"  # noqa: S105 invented
RECORDS = int(os.environ.get("SILENTHIT_BENCH_RECORDS", "10000"))
CONNECTIONS = 32


def serve(folder: str, port: Any) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    path = Path(folder) / "outbox.db"
    outbox = Outbox(path, b"k" * 32)
    intake = Intake(outbox=outbox, record_secret=b"r" * 32, area_code="802", retention_years=5)
    served = HttpIntake(intake=intake, answers=Answers(path, b"k" * 32), token=TOKEN)
    settings = IntakeSettings(port=0, token=Path("unused"))
    server = HttpServer(settings, served.app())
    port.value = server.port
    server.run()


def record(number: str, place: int) -> dict[str, Any]:
    phone = {"kind": "phone", "value": f"802-55{place % 10}-{place % 10000:04}"}
    return {
        "number": number,
        "kind": "arrest",
        "occurred_at": "2026-03-01T22:15:00-05:00",
        "subjects": [
            {
                "role": "arrestee",
                "names": [{"surname": f"Ro{place}", "given": "Ana"}],
                "birth_dates": [f"19{50 + place % 50}-0{place % 9 + 1}-02"],
                "identifiers": [phone],
            }
        ],
    }


async def post(port: int, name: str, together: int) -> float:
    """Post all records, so many to a request; return records a second."""
    requests = iter(
        [
            request([record(f"{name}-{n}", n) for n in range(start, start + together)])
            for start in range(0, RECORDS, together)
        ]
    )

    async def vendor() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for each in requests:
            writer.write(each)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 202"), head
            length = re.search(rb"(?i)content-length: (\d+)", head)
            assert length is not None
            await reader.readexactly(int(length[1]))
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(vendor() for _ in range(CONNECTIONS if together == 1 else 2)))
    return RECORDS / (time.perf_counter() - begun)


def request(records: list[dict[str, Any]]) -> bytes:
    body = json.dumps({"records": records}).encode()
    head = (
        f"POST /records HTTP/1.1\r\nHost: intake\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def busy_s() -> float:
    """Processor time of the servers that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(name: str, together: int) -> dict[str, int]:
    """Records a second by the clock, and by the processor time that the server took for them."""
    with tempfile.TemporaryDirectory() as folder:
        port, before = multiprocessing.Value("i", 0), busy_s()
        server = multiprocessing.Process(target=serve, args=(folder, port))
        server.start()
        while not port.value and server.is_alive():
            time.sleep(0.05)
        try:
            by_clock = asyncio.run(post(port.value, name, together))
        finally:
            server.terminate()
            server.join()
    found = {"per_s": round(by_clock), "per_core_s": round(RECORDS / (busy_s() - before))}
    print(
        f"{together:4} to a request: {found['per_s']:7,} records/s, "
        f"{found['per_core_s']:7,} a second of one core",
        file=sys.stderr,
    )
    return found


def main() -> None:
    cores = os.sched_getaffinity(0)
    together = measured("together", 100)
    os.sched_setaffinity(0, cores)
    singly = measured("singly", 1)
    print(json.dumps({"records": RECORDS, "together": together, "singly": singly}))


if __name__ == "__main__":
    main()
