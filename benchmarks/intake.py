"""Records a second that the HTTP intake keeps on one core: posted together, and one by one.

The server, fsyncs included, has a core to itself; the vendors have the others.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        port = multiprocessing.Value("i", 0)
        server = multiprocessing.Process(target=serve, args=(folder, port))
        server.start()
        while not port.value and server.is_alive():
            time.sleep(0.05)
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores - {min(cores)} or cores)
        try:
            together = asyncio.run(post(port.value, "together", 100))
            singly = asyncio.run(post(port.value, "singly", 1))
        finally:
            server.terminate()
            server.join()
    print(f"100 to a request  {together:8,.0f} records/s", file=sys.stderr)
    print(f"1 to a request    {singly:8,.0f} records/s", file=sys.stderr)
    result = {"records": RECORDS, "together_per_s": round(together), "singly_per_s": round(singly)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
