"""Key holder: elements/s of the service against the bare library, and the time of one touch.

The service runs as a process of its own (`silenthit keyholder serve`), which evaluates on one core,
asked over loopback TLS. The bare rate is `evaluate_batch` alone, in this process, with the same
batches, measured in turns with the service; `service_vs_bare` is the median over the turns. The
rates a second of processor time (`…_per_core_s`) hardly change with neighbours on the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from voprf import ristretto

from schemas.vocabulary import MatchKeyKind, TokenClass
from silenthit.blinding.access import BlindingSettings, load_bundle, open_client
from silenthit.blinding.batches import MOST_ELEMENTS, Batch, encode_request, new_batch_id
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.holder_link import HolderLink
from silenthit.blinding.key_holder_client import KeyHolderClient
from silenthit.identity.match_keys import MatchKey

BATCH = MOST_ELEMENTS
ROUNDS = 8
ALTERNATIONS = 7
TOUCHES = 200
KEYS_A_TOUCH = 18
COMMAND = [sys.executable, "-m", "silenthit", "keyholder"]
ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str) -> None:
    subprocess.run([*COMMAND, *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


@contextmanager
def key_holder(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], BlindingSettings]]:
    run("init", str(folder), "--epoch", "1", "--name", "bench", "--port", "0")
    config = folder / "keyholder.toml"
    plenty = "per_minute = 100000000, per_day = 1000000000"
    lines = [
        f"{line.partition('=')[0]}= {{ {plenty} }}" if "per_minute" in line else line
        for line in config.read_text().splitlines()
        if not line.startswith("#")
    ]
    config.write_text("\n".join(lines) + "\n")
    run("certify", "BENCH", "--config", str(config), "--out", str(folder / "bundle"))
    port_file = folder / "port"
    process = subprocess.Popen(
        [*COMMAND, "serve", "--config", str(config), "--port-file", str(port_file)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 20
        while not port_file.exists():
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit("the key holder did not start")
            time.sleep(0.02)
        yield process, BlindingSettings(key_holders=(load_bundle(folder / "bundle"),))
    finally:
        process.terminate()
        process.wait(10)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rates(
    count: int, clock: Callable[[], float], work: Callable[[], object]
) -> tuple[float, float]:
    """Run the work; elements a second of processor time, and of wall-clock time."""
    wall, cpu = time.perf_counter(), clock()
    work()
    return count / (clock() - cpu), count / (time.perf_counter() - wall)


def bare_rates(secrets: EpochSecrets, points: list[bytes]) -> tuple[float, float]:
    evaluator = secrets.evaluator(TokenClass.PERSON)
    batch = [ristretto.BlindedInput.deserialize(each) for each in points]
    evaluator.evaluate_batch(batch)
    return rates(
        ROUNDS * BATCH,
        time.process_time,
        lambda: [evaluator.evaluate_batch(batch) for _ in range(ROUNDS)],
    )


def service_rates(pid: int, settings: BlindingSettings, points: list[bytes]) -> tuple[float, float]:
    """Two connections, so that the next batch is there when one is answered."""
    section = {TokenClass.PERSON: b"".join(points)}

    def body() -> bytes:
        batch_id = new_batch_id(time.time_ns() // 1_000_000)
        return encode_request(Batch(epoch=1, batch_id=batch_id, sections=section))

    links = [open_client(settings).links[0] for _ in range(2)]
    for link in links:
        link.evaluate(body)

    def ask_by(link: HolderLink) -> None:
        for _ in range(ROUNDS // 2):
            link.evaluate(body)

    def ask() -> None:
        threads = [threading.Thread(target=ask_by, args=(link,)) for link in links]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    return rates(ROUNDS * BATCH, lambda: cpu_seconds(pid), ask)


def match_keys(count: int, salt: int) -> list[MatchKey]:
    kinds = (MatchKeyKind.NAME_BIRTH_DATE, MatchKeyKind.PHONE, MatchKeyKind.FULL_NAME)
    return [MatchKey(kinds[i % 3], f"invented {salt} {i}") for i in range(count)]


def touch_times_ms(client: KeyHolderClient) -> list[float]:
    client.tokens(1, match_keys(KEYS_A_TOUCH, -1))
    times = []
    for number in range(TOUCHES):
        keys = match_keys(KEYS_A_TOUCH, number)
        began = time.perf_counter()
        client.tokens(1, keys)
        times.append((time.perf_counter() - began) * 1e3)
    return sorted(times)


def client_rate(client: KeyHolderClient) -> float:
    keys = match_keys(4 * BATCH, 10**6)
    began = time.perf_counter()
    client.tokens(1, keys)
    return len(keys) / (time.perf_counter() - began)


def main() -> None:
    points = [ristretto.Client.blind(f"{i}".encode())[1].serialize() for i in range(BATCH)]
    folder = Path(tempfile.mkdtemp(prefix="silenthit-bench-"))
    try:
        with key_holder(folder / "holder") as (process, settings):
            secrets = EpochSecrets.load(folder / "holder" / "secrets" / "epoch-1.json")
            bare, service = [], []
            for _ in range(ALTERNATIONS):  # alternating, so that both see the same neighbours
                bare.append(bare_rates(secrets, points))
                service.append(service_rates(process.pid, settings, points))
            client = open_client(settings)
            times, client_per_s = touch_times_ms(client), client_rate(client)
            with key_holder(folder / "second") as (_, other):
                both = BlindingSettings(key_holders=settings.key_holders + other.key_holders)
                split = touch_times_ms(open_client(both))
    finally:
        shutil.rmtree(folder)
    report(bare, service, times, split, client_per_s)


def report(
    bare: list[tuple[float, float]],
    service: list[tuple[float, float]],
    times: list[float],
    split: list[float],
    client_per_s: float,
) -> None:
    bare_cpu, bare_wall = (statistics.median(each) for each in zip(*bare, strict=True))
    service_cpu, service_wall = (statistics.median(each) for each in zip(*service, strict=True))
    ratios = [s[1] / b[1] for s, b in zip(service, bare, strict=True)]
    result = {
        "service_elements_per_s": round(service_wall),
        "bare_elements_per_s": round(bare_wall),
        "service_vs_bare": round(statistics.median(ratios), 3),
        "touch_ms_p50": round(times[len(times) // 2], 2),
        "touch_ms_p99": round(times[int(len(times) * 0.99)], 2),
        "split_touch_ms_p50": round(split[len(split) // 2], 2),
        "service_elements_per_core_s": round(service_cpu),
        "bare_elements_per_core_s": round(bare_cpu),
        "client_elements_per_s": round(client_per_s),
        "batch_elements": BATCH,
        "touch_match_keys": KEYS_A_TOUCH,
    }
    for name, value in result.items():
        print(f"{name:30} {value:>12,}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
