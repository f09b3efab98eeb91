"""The partner's vault: how long an import takes, and a list and a search among many watches.

    make bench-vault            # 10,000 imported, 100,000 listed and searched
    SILENTHIT_BENCH_WATCHES=20000 make bench-vault

Everything by command on a SQLite vault with LocalKey, the exchange's broker the embedded one. The
watches beyond those imported are written to the vault as the import would have, but with one
subject's registrations: nothing that a list or a search reads is left out. Python keeps what it
compiled, as it does for an installed command, whatever the environment says.
"""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from consumers import catalogue
from consumers.registrations import columns, fresh_id, tokenise
from consumers.vault import REGISTRATIONS, WATCHES, Vault
from consumers.vault_keys import load_key
from consumers.watches import Watch
from schemas.parts import Identifier, PersonName, Subject
from schemas.vocabulary import IdentifierKind
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.blinding.prf import LocalKey
from silenthit.bus.embedded import EmbeddedBroker

IMPORTED = 10_000
HELD = int(os.environ.get("SILENTHIT_BENCH_WATCHES", "100000"))
TIMES = 7
GIVEN = ["Ada", "Ben", "Cora", "Dev", "Eve", "Finn", "Gita", "Hugo", "Ines", "Jon"]
SYLLABLES = ["ba", "cor", "dun", "el", "far", "gis", "hol", "ir", "jas", "kel", "lom", "mir"]


def person(n: int) -> dict[str, str]:
    dice = random.Random(n)
    surname = "".join(dice.choices(SYLLABLES, k=3)).capitalize()
    born = f"{dice.randint(1950, 2005)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
    phone = f"{dice.randint(201, 989)}-555-{dice.randint(0, 9999):04}"
    return {"surname": surname, "given": dice.choice(GIVEN), "birth_dates": born, "phone": phone}


def silenthit(*words: str | Path) -> tuple[float, str]:
    """Run a command to its end; return how long it took, and what it printed."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "silenthit", *map(str, words)]
    kept = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=kept)
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return took, done.stdout


def processor_s() -> float:
    """Processor time of all commands so far: what a command takes where nothing else runs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write_list(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["label", "case_number", "legal_basis", *person(0)])
        table.writeheader()
        for n in range(IMPORTED):
            about = {"label": f"Import {n}", "case_number": f"50A-{n}", "legal_basis": "affidavit"}
            table.writerow(about | person(n))


def fill(folder: Path, prf: LocalKey, count: int) -> None:
    """Write watches straight into the vault, one tokenised for all of them."""
    vault = Vault.open(folder / "vault.sqlite", load_key(folder / "keys" / "vault.key"))
    now = datetime.now(UTC)
    for start in range(0, count, 1000):
        watches = [_watch(n, now) for n in range(start, min(count, start + 1000))]
        ids = [secrets.token_bytes(16) for _ in watches]
        made = tokenise(watches[:1], [(fresh_id(), ids[0])], "bench", 1, prf)[0]
        with vault.write() as into:
            lines = [catalogue.entry(i, w.found_by()) for i, w in zip(ids, watches, strict=True)]
            at = round(now.timestamp() * 1000) + start
            pages = catalogue.add(into, lines)
            into.add(WATCHES, ((i, {
                "private": w.model_dump_json().encode(), "expires_at": at + 10**10,
                "created_at": at, "approved_at": at, "page": page,
            }) for i, w, page in zip(ids, watches, pages, strict=True)))  # fmt: skip
            state = {"state": "placed"}
            into.add(REGISTRATIONS, ((fresh_id(), columns(i, made)[1] | state) for i in ids))
    vault.close()


def _watch(n: int, now: datetime) -> Watch:
    fields = person(10**6 + n)
    subject = Subject(
        names=(PersonName(surname=fields["surname"], given=fields["given"]),),
        birth_dates=(fields["birth_dates"],),
        identifiers=(Identifier(kind=IdentifierKind.PHONE, value=fields["phone"]),),
    )
    return Watch(label=f"Held {n}", legal_basis="affidavit", stated_by="bench", subjects=(subject,),
                 case_number=f"31B-{n}", expires_at=now + timedelta(days=90))  # fmt: skip


def main() -> None:
    figures: dict[str, float] = {"imported": IMPORTED, "held": HELD}
    with tempfile.TemporaryDirectory() as scratch, EmbeddedBroker() as broker:
        folder, key = Path(scratch) / "bench", Path(scratch) / "epoch1.json"
        silenthit("keyholder", "generate", key, "--epoch", "1")
        at = ["--bootstrap", broker.bootstrap_servers, "--local-key", key]
        silenthit("partner", "init", folder, "--name", "bench", *at)
        config = ["--config", folder / "partner.toml"]
        write_list(Path(scratch) / "list.csv")
        figures["import_s"], said = silenthit(
            "watch", "import", Path(scratch) / "list.csv", *config
        )
        print(f"{said.strip()}: {figures['import_s']:.1f} s", file=sys.stderr)
        fill(folder, LocalKey([EpochSecrets.load(key)]), HELD - IMPORTED)
        last = person(10**6 + 4321)
        for name, words in (
            ("start_s", ["--help"]),
            ("list_s", ["list", *config]),
            ("search_label_s", ["list", "--search", "Held 4321", *config]),
            ("search_name_s", ["list", "--search", f"{last['given']} {last['surname']}", *config]),
            ("search_phone_s", ["list", "--search", last["phone"], *config]),
            ("search_many_s", ["list", "--search", "held", *config]),
            ("search_none_s", ["list", "--search", "nobody of that name", *config]),
            ("show_s", ["show", "Held 4321", *config]),
        ):
            before = processor_s()
            took = [silenthit("watch", *words)[0] for _ in range(TIMES)]
            figures[name] = round(min(took), 3)
            figures[f"{name[:-2]}_median_s"] = round(median(took), 3)
            figures[f"{name[:-2]}_processor_s"] = round((processor_s() - before) / TIMES, 3)
            print(
                f"{name[:-2]:<14} {min(took):.3f} s, median {median(took):.3f} s", file=sys.stderr
            )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
