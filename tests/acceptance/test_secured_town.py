"""From record to alert where the brokers ask everybody who it is: own certificates, own rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.secured import SecuredExchange, SecuredTown, secured_exchange

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
    finally:
        town.stop_workers()


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
