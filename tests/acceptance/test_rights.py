"""Who may do what is enforced by Apache Kafka itself, cell by cell, with mutual TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from schemas.topics import TOPICS, Bus, Role
from silenthit.bus.clients import KafkaSettings, Publisher, TopicReader
from silenthit.bus.fetch import PlaceReader
from silenthit.bus.handover import HandOver
from silenthit.bus.rights import CONFLICTS_WRITER, DECONFLICTING, Right, grant, granted, revoke
from silenthit.bus.together import Together
from silenthit.errors import RefusedError
from stream_processors.brokers.onboarding import TOUCH_BYTES, TOUCHES_PER_S
from stream_processors.brokers.quotas import quotas_of, user
from tests.secured import SecuredExchange, secured_exchange

pytestmark = pytest.mark.slow

WHO = (
    ("MASF00100", "agency"),
    ("CTHA00200", "agency"),
    ("fbi-boston", "partner"),
    ("hsi-newark", "partner"),
    ("state-auditor", "auditor"),
    ("worker-1", "worker"),
    ("answer-1", "answer"),
)
ORGANISATIONS = ("masf00100", "ctha00200", "fbi-boston", "hsi-newark")


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, redis_server: str
) -> Iterator[SecuredExchange]:
    with secured_exchange(tmp_path_factory.mktemp("secured"), redis_server) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def members(secured: SecuredExchange) -> dict[str, HandOver]:
    return {name: secured.onboard(name, role) for name, role in WHO}


def access(member: HandOver) -> KafkaSettings:
    return next(iter(member.bus.values()))


def test_only_the_exchanges_own_processes_write_to_two_partners_at_once(
    members: dict[str, HandOver],
) -> None:
    both = [(f"deconflictions.{name}", b"k" * 16, b"met") for name in ("fbi-boston", "hsi-newark")]
    with Together(access(members["worker-1"]), client_id="cell", name=DECONFLICTING) as together:
        together.send(both)
    with TopicReader(
        access(members["fbi-boston"]), ["deconflictions.fbi-boston"], client_id="cell"
    ) as reader:
        assert [message.value for some in reader.read_to_end() for message in some] == [b"met"]
    for name in ("fbi-boston", "answer-1", "MASF00100"):
        with pytest.raises(RefusedError):
            Together(access(members[name]), client_id="cell", name=DECONFLICTING)


def test_only_the_process_that_tells_of_conflicts_writes_to_two_agencies_at_once(
    members: dict[str, HandOver],
) -> None:
    both = [(f"conflicts.{name}", b"c" * 16, b"in conflict") for name in ORGANISATIONS[:2]]
    ours = members["answer-1"].bus[Bus.AGENCY]
    with Together(ours, client_id="cell", name=CONFLICTS_WRITER) as together:
        together.send(both)
    for name in ("MASF00100", "worker-1", "fbi-boston"):
        with pytest.raises(RefusedError):
            Together(access(members[name]), client_id="cell", name=CONFLICTS_WRITER)


def topics_there(secured: SecuredExchange) -> list[str]:
    return sorted(AdminClient(secured.operator.properties("t")).list_topics(timeout=10).topics)


def table(member: HandOver, topic: str) -> set[str]:
    """What `schemas.topics` allows: written out anew, not by the code that grants."""
    allowed = set()
    for row in TOPICS:
        head, placed, _ = row.name.partition("{org}")
        own = topic == head + member.name if placed else topic == row.name
        anybodys = placed and topic.startswith(head)
        serves_all = member.role in {Role.MATCH, Role.ANSWER, Role.AUDITOR}
        if own or (anybodys and serves_all):
            allowed |= {
                operation
                for operation, roles in (("read", row.readers), ("write", row.writers))
                if member.role in roles
            }
    return allowed


def may_write(settings: KafkaSettings, topic: str) -> bool:
    publisher = Publisher(settings, client_id="cell")
    try:
        publisher.send(topic, b"a key of no record", b"not a message").result(20)
    except RefusedError:
        return False
    finally:
        publisher.close()
    return True


def may_read(settings: KafkaSettings, topic: str) -> bool:
    # The right to read carries the right to see; a client asked to read the unseen would wait.
    seen = AdminClient(settings.properties("cell")).list_topics(topic, timeout=10).topics[topic]
    if seen.error is not None:
        return False
    reader = PlaceReader(settings, client_id="cell")
    try:
        return len(reader.fetch(topic, [(0, 0)])) == 1
    except RefusedError:
        return False
    finally:
        reader.close()


def test_every_principal_may_do_on_every_topic_what_the_table_says_and_nothing_else(
    secured: SecuredExchange, members: dict[str, HandOver]
) -> None:
    known = AdminClient(secured.operator.properties("t")).list_topics(timeout=10).topics
    names = [name for name in sorted(known) if not name.startswith("__")]
    assert len(names) >= 4 + 2 * 2 + 2 * 2
    operator = Publisher(secured.operator, client_id="fill")
    for name in names:  # so that there is something to be read at offset 0 of a partition
        operator.send(name, b"key", b"value", partition=0).result(20)
    operator.close()
    wrong = []
    cells = list(product(members.values(), names))
    for member, topic in cells:
        allowed = table(member, topic)
        reads = may_read(access(member), topic)
        writes = may_write(access(member), topic)
        if {"read": reads, "write": writes} != {
            "read": "read" in allowed,
            "write": "write" in allowed,
        }:
            wrong.append((member.name, topic, sorted(allowed), reads, writes))
    assert not wrong
    assert len(cells) >= 7 * 12


def test_a_principal_sees_no_topic_that_it_has_no_right_on(
    secured: SecuredExchange, members: dict[str, HandOver]
) -> None:
    names = topics_there(secured)
    for member in members.values():
        seen = AdminClient(access(member).properties("see")).list_topics(timeout=10).topics
        assert set(seen) == {name for name in names if table(member, name)}, member.name


@pytest.mark.parametrize("topic", ["watches.fbi-boston", "watches.nobody", "alerts.fbi-boston"])
def test_a_topic_of_others_cant_be_told_from_one_that_is_not_there(
    members: dict[str, HandOver], topic: str
) -> None:
    admin = AdminClient(access(members["MASF00100"]).properties("ask"))
    found = admin.list_topics(topic, timeout=10).topics[topic]
    assert found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert not found.partitions


def answered(member: HandOver, ask: str) -> object:
    """What an administrator's question brings: nothing, where it is refused."""
    admin = AdminClient(access(member).properties("ask"))
    place = TopicPartition("watches.fbi-boston", 0)
    questions = {
        "offsets": lambda: admin.list_offsets({place: OffsetSpec.latest()})[place],
        "create": lambda: admin.create_topics([NewTopic("mine", 1)])["mine"],
        "delete": lambda: admin.delete_topics(["touches"])["touches"],
        "groups": lambda: admin.describe_consumer_groups(["exchange"])["exchange"],
        "settings": lambda: next(
            iter(admin.describe_configs([ConfigResource(ResourceType.TOPIC, "sent")]).values())
        ),
    }
    try:
        return questions[ask]().result(20)
    except KafkaException:
        return None


@pytest.mark.parametrize("ask", ["offsets", "create", "delete", "groups", "settings"])
def test_an_agency_and_a_stranger_partner_are_refused_all_else(
    members: dict[str, HandOver], ask: str
) -> None:
    assert not answered(members["MASF00100"], ask)
    assert not answered(members["hsi-newark"], ask)


def test_nobody_but_the_operator_reads_the_list_of_rights(
    secured: SecuredExchange, members: dict[str, HandOver]
) -> None:
    assert granted(secured.operator)
    for member in members.values():
        with suppress(RefusedError):
            assert not granted(access(member))


def test_no_group_is_listed_to_those_who_take_part_in_none(members: dict[str, HandOver]) -> None:
    admin = AdminClient(access(members["MASF00100"]).properties("ask"))
    found = admin.list_consumer_groups(request_timeout=10).result(20)
    assert not found.valid


def test_reading_by_assignment_needs_no_right_on_a_group(members: dict[str, HandOver]) -> None:
    with TopicReader(access(members["fbi-boston"]), ["alerts.fbi-boston"], client_id="r") as reader:
        list(reader.read_to_end())
        assert not reader.missing()


def test_the_live_list_is_the_table_until_somebody_changes_it(
    secured: SecuredExchange, members: dict[str, HandOver]
) -> None:
    assert "exactly the rights" in secured.exchange("audit-acls")
    sneaked = Right("User:agency.masf00100", "READ", "TOPIC", "sent")
    grant(secured.operator, [sneaked])
    assert f"too much  {sneaked}" in secured.exchange("audit-acls", code=1)
    kept = next(r for r in granted(secured.operator) if r.name == "alerts.fbi-boston")
    revoke(secured.operator, [sneaked, kept])
    assert f"missing   {kept}" in secured.exchange("audit-acls", code=1)
    secured.onboard("fbi-boston", "partner")
    assert "exactly the rights" in secured.exchange("audit-acls")


def test_an_agency_has_a_quota_at_the_broker(
    secured: SecuredExchange, members: dict[str, HandOver]
) -> None:
    quotas = quotas_of(secured.operator, user(members["MASF00100"].principal))
    assert quotas["producer_byte_rate"] == TOUCHES_PER_S * TOUCH_BYTES


def test_an_agencys_quota_is_what_the_operator_says_and_outlives_a_renewal(
    secured: SecuredExchange,
) -> None:
    for more, touches_per_s in (
        (("--touches-per-s", "10"), 10),
        ((), 10),
        (("--touches-per-s", "4"), 4),
    ):
        made = secured.onboard("RIPR00100", "agency", *more)
        quotas = quotas_of(secured.operator, user(made.principal))
        assert quotas["producer_byte_rate"] == touches_per_s * TOUCH_BYTES
        assert quotas["request_percentage"] > 0


def test_a_password_over_tls_is_the_other_choice(secured: SecuredExchange) -> None:
    made = secured.onboard("NYNY00300", "agency", "--password")
    port = json.loads((secured.folder / "kafka" / "ports.json").read_text())[0]
    settings = access(made).model_copy(
        update={"bootstrap_servers": f"127.0.0.1:{port['PASSWORD']}"}
    )
    assert may_write(settings, "touches")
    assert not may_write(settings, "sent")
    wrong = settings.model_copy(
        update={"security": {**settings.security, "sasl.password": "a guess"}}
    )
    with pytest.raises(KafkaException):
        AdminClient(wrong.properties("w")).list_topics(timeout=3)


def test_who_is_offboarded_may_do_nothing_and_its_watches_leave(
    secured: SecuredExchange, tmp_path: Path
) -> None:
    made = secured.onboard("usms-leaving", "partner")
    settings = access(made)
    publisher = Publisher(settings, client_id="p")
    publisher.send("watches.usms-leaving", b"k" * 20, b"a registration").result(20)
    publisher.close()
    secured.exchange("offboard", "usms-leaving", "--role", "partner")
    assert not may_write(settings, "watches.usms-leaving")
    assert not [right for right in granted(secured.operator) if "usms-leaving" in right.user]
    with TopicReader(secured.operator, ["watches.usms-leaving"], client_id="r") as reader:
        messages = [message for some in reader.read_to_end() for message in some]
    assert [message.value for message in messages] == [b"a registration", None]
    assert "exactly the rights" in secured.exchange("audit-acls")


def test_each_bus_of_the_table_names_its_topics_once() -> None:
    assert {row.bus for row in TOPICS} == set(Bus)
    assert len({(row.bus, row.name) for row in TOPICS}) == len(TOPICS)
