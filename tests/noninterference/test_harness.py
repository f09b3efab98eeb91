"""A leak of each class, planted on purpose, is found: the harness sees what it looks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from schemas import codec
from schemas.inquiries import Answer
from silenthit.bus.clients import KafkaSettings, Publisher
from silenthit.bus.handover import HandOver
from silenthit.bus.rights import MATCH_GROUP, Right, grant
from tests.noninterference.compared import MASKS, compare
from tests.noninterference.observed import Fields, observe
from tests.noninterference.reading import decoded, ranked
from tests.noninterference.timing import Sample, cost_to_all, difference_in_medians
from tests.secured import SecuredExchange, secured_exchange

pytestmark = pytest.mark.oneway

AGENCY = "ct0020200"
BOUND_MS = 0.2


@pytest.fixture(scope="module")
def exchange(
    tmp_path_factory: pytest.TempPathFactory, redis_server: str
) -> Iterator[SecuredExchange]:
    with secured_exchange(tmp_path_factory.mktemp("planted"), redis_server) as made:
        made.onboard("fbi-hartford", "partner")
        yield made


@pytest.fixture(scope="module")
def agency(exchange: SecuredExchange) -> HandOver:
    return exchange.onboard(AGENCY, "agency")


def seen(agency: HandOver) -> Fields:
    settings = next(iter(agency.bus.values()))
    suspected = ["watches.fbi-hartford", f"answers.{AGENCY}", "sent"]
    return observe(settings, suspected, decoded, ranked)


def answer(settings: KafkaSettings, size: int) -> None:
    publisher = Publisher(settings, client_id="leak")
    sealed = codec.encode(Answer(inquiry_id=bytes(16), sealed=bytes(size)))
    publisher.send(f"answers.{AGENCY}", bytes(16), sealed).result(20)
    publisher.close()


def a_visible_group(exchange: SecuredExchange) -> None:
    grant(exchange.operator, [Right(f"User:agency.{AGENCY}", "DESCRIBE", "GROUP", MATCH_GROUP)])


def a_visible_topic(exchange: SecuredExchange) -> None:
    theirs = Right(f"User:agency.{AGENCY}", "DESCRIBE", "TOPIC", "watches.fbi-hartford")
    grant(exchange.operator, [theirs])


def an_extra_message(exchange: SecuredExchange) -> None:
    answer(exchange.operator, 1024)


LEAKS = (an_extra_message, a_visible_group, a_visible_topic)


def test_nothing_planted_is_nothing_found(agency: HandOver) -> None:
    assert compare(seen(agency), seen(agency)).differences == ()


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_a_planted_leak_is_found(
    exchange: SecuredExchange, agency: HandOver, leak: Callable[[SecuredExchange], None]
) -> None:
    before = seen(agency)
    leak(exchange)
    assert compare(before, seen(agency)).differences


def test_a_longer_padding_is_found(exchange: SecuredExchange, agency: HandOver) -> None:
    """The same number of answers, one of them sixteen bytes longer."""
    answer(exchange.operator, 1024)
    usual = seen(agency)
    places = [path for path in usual if path.endswith("sealed/length")]
    longer = usual | {places[-1]: usual[places[-1]] + 16}
    assert compare(usual, longer).differences


def test_a_log_line_is_found() -> None:
    said = {"output/publish/0": "published 40 records\n"}
    more = {"output/publish/0": "published 40 records\n1 record is of interest\n"}
    assert compare(said, more).differences


def test_no_mask_covers_how_much_there_is_or_who_may_see_it() -> None:
    kept = (
        "messages/alerts.hsi-newark/count",
        "messages/alerts.hsi-newark/0/3/value/length",
        "messages/deconflictions.hsi-newark/count",
        "messages/deconflictions.hsi-newark/0/0/value/length",
        "messages/answers.ct0020200/0/0/value/sealed/length",
        "groups/listed",
        "groups/exchange/state",
        "rights/listed",
        "metadata/topics",
        "asked/watches.fbi-hartford/error",
        "asked/touches/offsets/0/latest",
        "output/publish/0",
        "lookup/5",
    )
    assert not [(path, mask) for path in kept for mask in MASKS if mask.covers(path)]


def latencies(delay_ms: float, count: int = 20_000) -> list[Sample]:
    """Invented ones like a broker's: a millisecond, a tail, and a machine that grows slower."""
    random = Random(1)
    found = []
    for number in range(count):
        watched = random.random() < 0.5
        usual = 1.0 + random.expovariate(2.0) + 3.0 * number / count
        found.append((watched, usual + (delay_ms if watched else 0.0)))
    return found


def test_a_delay_of_two_milliseconds_is_found() -> None:
    assert difference_in_medians(latencies(0.0)).within(BOUND_MS)
    assert not difference_in_medians(latencies(2.0)).within(BOUND_MS)
    assert not difference_in_medians(latencies(0.3)).within(BOUND_MS)


def rounds(delay_ms: float, cost_ms: float, count: int = 1_000, size: int = 20) -> list[Sample]:
    """Invented look-ups: a round is answered together, after a tick or two, each with a jitter."""
    random = Random(2)
    found = []
    for _ in range(count):
        share = random.choice((0.25, 0.75))
        watched = [random.random() < share for _ in range(size)]
        usual = random.choice((60.0, 60.0, 110.0)) + random.expovariate(0.2)
        usual += cost_ms * sum(watched)
        found += [(w, usual + random.expovariate(0.5) + (delay_ms if w else 0)) for w in watched]
    return found


def test_a_delay_of_two_milliseconds_is_found_within_rounds() -> None:
    assert difference_in_medians(rounds(0.0, 1.0), block=2).within(BOUND_MS)
    assert not difference_in_medians(rounds(2.0, 0.0), block=2).within(BOUND_MS)
    assert not difference_in_medians(rounds(0.5, 0.0), block=2).within(BOUND_MS)


def test_what_slows_a_whole_round_is_found_between_rounds() -> None:
    assert cost_to_all(rounds(0.0, 0.0), block=20).within(1.0)
    assert not cost_to_all(rounds(0.0, 2.0), block=20).within(1.0)


def test_too_few_samples_prove_nothing() -> None:
    assert not difference_in_medians(latencies(0.0, count=300)).within(BOUND_MS / 4)


def test_masks_say_why() -> None:
    assert all(mask.reason for mask in MASKS)
