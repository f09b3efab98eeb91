"""The table of topics keeps the two buses and the rights of section 5 apart."""

from __future__ import annotations

import pytest

from schemas.topics import ALERTS, PUBLICATIONS, SENT, TOPICS, TOUCHES, WATCHES, Bus, Role, Topic

ALL = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


@ALL
def test_time_is_the_brokers(topic: Topic) -> None:
    assert topic.config["message.timestamp.type"] == "LogAppendTime"


def test_names_are_not_used_twice() -> None:
    """On one bus; an agency's look-ups and a partner's have one name on two."""
    assert len({(topic.bus, topic.name) for topic in TOPICS}) == len(TOPICS)


@ALL
def test_an_agency_has_no_right_on_what_depends_on_a_watch(topic: Topic) -> None:
    if topic.bus is Bus.PARTNER:
        assert Role.AGENCY not in topic.writers | topic.readers


@ALL
def test_nothing_that_the_matching_worker_writes_is_on_the_agencies_bus(topic: Topic) -> None:
    if Role.MATCH in topic.writers:
        assert topic.bus is Bus.PARTNER


def test_the_process_that_answers_agencies_has_no_right_to_watches() -> None:
    assert Role.ANSWER not in WATCHES.readers | WATCHES.writers


@ALL
def test_what_a_partner_looks_up_is_not_on_the_agencies_bus(topic: Topic) -> None:
    if topic.bus is Bus.AGENCY:
        assert Role.PARTNER not in topic.writers | topic.readers


def test_a_publication_is_seen_by_the_process_that_answers_and_by_nobody_else() -> None:
    assert PUBLICATIONS.writers == {Role.PARTNER}
    assert PUBLICATIONS.readers == {Role.ANSWER}


def test_a_partners_topics_are_its_own() -> None:
    assert WATCHES.writers == {Role.PARTNER}
    assert ALERTS.readers == {Role.PARTNER}
    assert "{org}" in WATCHES.name
    assert "{org}" in ALERTS.name


def test_a_worker_that_has_a_touch_partition_has_that_of_sent() -> None:
    assert SENT.partitions == TOUCHES.partitions


def test_what_is_read_from_the_beginning_is_compacted() -> None:
    for topic in (TOUCHES, WATCHES, ALERTS, SENT, PUBLICATIONS):
        assert "compact" in topic.config["cleanup.policy"]


def test_an_organisation_names_its_topic() -> None:
    assert WATCHES.of("fbi-ct") == "watches.fbi-ct"


@pytest.mark.parametrize("org", ["", "-a", "A", "a.b", "a_b", "a b", "a/b", "é", "a" * 64, "a\n"])
def test_a_name_that_could_reach_anothers_topic_is_refused(org: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        WATCHES.of(org)
