"""From record to alert where the brokers ask everybody who it is: own certificates, own rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from consumers.partner import open_partner
from consumers.vault import REGISTRATIONS
from consumers.watch_list import listed
from schemas import codec
from schemas.messages import WatchRegistration
from schemas.packing import TOKEN, rows
from stream_processors.watch_keys import WatchKeys
from tests.secured import SecuredExchange, SecuredTown, secured_exchange
from tests.town import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, redis_server: str
) -> Iterator[SecuredExchange]:
    with Redis.from_url(redis_server) as client:
        client.flushall()  # another test's checkpoints are of another cluster
    with secured_exchange(tmp_path_factory.mktemp("secured"), redis_server) as exchange:
        yield exchange


RECORDS = """\
record_number,kind,role,surname,given,birth_date,ssn
S-1,arrest,suspect,Quillfeather,John,1980-01-02,219-09-9999
S-2,arrest,suspect,Stranger,Anna,1990-03-04,
"""
WATCH = """
[[watch]]
label = "quill"
legal_basis = "affidavit"
[[watch.subject]]
surname = "Quillfeather"
given = "John"
birth_dates = ["1980-01-02"]
"""


def test_the_whole_way_runs_with_certificates_and_own_rights_alone(
    secured: SecuredExchange, redis_server: str
) -> None:
    town = SecuredTown.of_exchange(secured, redis_server)
    town.add_agency("harbor", "MA0130100")
    town.add_partner("fbi-hartford", "harbor")
    town.watch("fbi-hartford", WATCH)
    columns = RECORDS.splitlines()[0].split(",")
    mapping = town.folder / "map.toml"
    named = "".join(f'{name} = "{name}"\n' for name in columns)
    mapping.write_text(f'[columns]\n{named}[formats]\ndate = "%Y-%m-%d"\n')
    records = town.folder / "records.csv"
    records.write_text(RECORDS)
    try:
        town.start_worker("worker-1")
        town.publish("harbor", records, mapping=mapping)
        town.wait_until_matched()
        assert [alert["label"] for alert in town.alerts("fbi-hartford")] == ["quill"]
        assert rotated_sender_is_taken(town, records, mapping)
        nothing_of_a_watch_lies_on_a_disk(town)
        rotated_watch_key_is_taken(town, records, mapping)
    finally:
        town.stop_workers()


def nothing_of_a_watch_lies_on_a_disk(town: SecuredTown) -> None:
    """Read all that the brokers and the exchange have written; both watches are at the worker."""
    town.watch("fbi-hartford", WATCH.replace("quill", "unmet").replace("John", "Ezekiel"))
    wait_until(lambda: sum(sealed(town).values()) == 2, "both watches on the broker")
    met, unmet = registrations(town)
    snapshot = town.folder / "exchange" / "data" / "watches.snapshot"
    assert snapshot.stat().st_size > 0
    logs = [
        (path.parent.name, path.read_bytes())
        for folder in ("kafka", "exchange")
        for path in (town.folder / folder).rglob("*")
        if path.is_file() and path.stat().st_size
    ]
    of_watches = b"".join(each for name, each in logs if name.startswith("watches.fbi-hartford"))
    # The search finds what is there: ids stand in the messages' keys.
    assert all(each.registration_id in of_watches for each in (met, unmet))
    held = b"".join(each for _, each in logs)
    assert met.slot[:64] not in held
    assert unmet.slot[:64] not in held
    assert not any(token in of_watches for token in (*tokens(met), *tokens(unmet)))
    assert not any(token in held for token in tokens(unmet) - tokens(met))
    inverted = {token[:8][::-1] for token in tokens(met) | tokens(unmet)}
    assert not any(each in snapshot.read_bytes() for each in inverted)


def tokens(registration: WatchRegistration) -> set[bytes]:
    return {row["token"].tobytes() for row in rows(registration.tokens, TOKEN)}


def registrations(town: SecuredTown) -> list[WatchRegistration]:
    """What the partner has registered, from its own vault, the first one first."""
    ours = open_partner(town.folder / "fbi-hartford" / "partner.toml", calls=False)
    try:
        labels = {each.watch_id: each.watch.label for each in listed(ours.vault)}
        with ours.vault.read() as found:
            held = [(labels[row["watch_id"]], row["private"]) for row in found.find(REGISTRATIONS)]
    finally:
        ours.vault.close()
    return [codec.decode(value, WatchRegistration) for _, value in sorted(held)]


def sealed(town: SecuredTown) -> dict[str, int]:
    """How many watches are sealed to each key, as a worker may count them."""
    access = (*town.worker_access, *town.exchange)
    lines = town.run("exchange", "watch-key", "list", "--json", *access).splitlines()
    found = [json.loads(line) for line in lines]
    return {each["state"]: sum(each["watches"].values()) for each in found}


def rotated_watch_key_is_taken(town: SecuredTown, records: Path, mapping: Path) -> None:
    """Change the exchange's watch key, send every watch again, retire the old one, and match."""
    access = (*town.worker_access, *town.exchange)
    (old,) = (town.folder / "exchange" / "keys" / "watches").glob("*.key")
    before = WatchKeys(old.parent)
    old_id = next(iter(before)).hex()
    assert sealed(town) == {"newest": 2}
    town.run("exchange", "watch-key", "new", *town.exchange)
    assert sealed(town) == {"older": 2, "newest": 0}
    town.run("exchange", "watch-key", "retire", old_id, *access, code=5)
    file = town.exchange_key()
    town.run("partner", "trust-exchange", file, *town.of("fbi-hartford", "partner"))
    assert sealed(town) == {"older": 0, "newest": 2}
    town.run("exchange", "watch-key", "retire", old_id, *access)
    assert not old.exists()
    records.write_text(RECORDS.replace("S-1", "S-4"))
    town.stop_workers()
    (town.folder / "exchange" / "data" / "watches.snapshot").unlink()
    town.start_worker("worker-2")  # loads all from the brokers, with the new key alone
    town.publish("harbor", records, mapping=mapping)
    town.wait_until_matched()
    assert [each["label"] for each in town.alerts("fbi-hartford")] == ["quill"] * 3


def rotated_sender_is_taken(town: SecuredTown, records: Path, mapping: Path) -> bool:
    """Change the agency's sender key, revoke the old one, and publish under the new one."""
    sender = town.folder / "next.json"
    town.run("exchange", "rotate-sender", "MA0130100", "--out", sender, *town.exchange)
    town.run("agency", "sender-key", sender, *town.of("harbor", "agency"))
    town.run("exchange", "revoke-sender", "MA0130100#1", *town.exchange)
    records.write_text(RECORDS.replace("S-1", "S-3"))
    town.publish("harbor", records, mapping=mapping)
    town.wait_until_matched()
    return len(town.alerts("fbi-hartford")) == 2
