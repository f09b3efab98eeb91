"""Records a second that the HTTP intake keeps on one core: posted together, and one by one.

The server, fsyncs included, has a core to itself; the vendors have the others.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from producers.http_intake import HttpIntake
from producers.http_server import HttpServer
from producers.idempotency import Answers
from producers.intake import Intake
from producers.outbox import Outbox
from producers.settings import IntakeSettings

TOKEN = "a-token-of-twenty-and-more"  # noqa: S105 invented
RECORDS = int(os.environ.get("SILENTHIT_BENCH_RECORDS", "10000"))
CONNECTIONS = 48


def serve(folder: str, port: Any) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    path = Path(folder) / "outbox.db"
    outbox = Outbox(path, b"k" * 32)
    intake = Intake(outbox=outbox, record_secret=b"r" * 32, area_code="802", retention_years=5)
    served = HttpIntake(intake=intake, answers=Answers(path, b"k" * 32), token=TOKEN)
    settings = IntakeSettings(port=0, token=Path("unused"))
    server = HttpServer(settings, served)
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
    numbers = iter(range(0, RECORDS, together))
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    limits = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, limits=limits, timeout=120
    ) as client:

        async def vendor() -> None:
            for start in numbers:
                records = [record(f"{name}-{n}", n) for n in range(start, start + together)]
                answer = await client.post("/records", content=json.dumps({"records": records}))
                assert answer.status_code == 202, answer.text

        begun = time.perf_counter()
        await asyncio.gather(*(vendor() for _ in range(CONNECTIONS if together == 1 else 2)))
        return RECORDS / (time.perf_counter() - begun)


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
