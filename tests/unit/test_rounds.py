"""What of a batch is taken, and in which rounds."""

from __future__ import annotations

from stream_processors.admission import AdmittedTouch, Place, Reason, Refused, Retraction
from stream_processors.batch_admission import Admitted
from stream_processors.rounds import VISIBLE_MS, rounds
from tests.exchange_room import identified, ssn, touch_of

OFFSET = iter(range(1_000_000))


def touch(
    record: str, revision: int = 1, *, at: int = 0, agency: str = "MA1", value: str = "1"
) -> AdmittedTouch:
    place = Place("touches", 0, next(OFFSET), at)
    return AdmittedTouch.of(place, agency, touch_of(record, [ssn(value)], revision=revision))


def taken_back(record: str, revision: int, *, at: int = 0) -> Retraction:
    place = Place("touches", 0, next(OFFSET), at)
    return Retraction(place, "MA1", identified(record), revision)


def check(batch: list[Admitted], *expected: list[Admitted]) -> None:
    assert rounds(batch) == list(expected)


def test_different_records_and_what_was_refused_are_one_round() -> None:
    refused = Refused(Place("touches", 0, 1, 0), Reason.MALFORMED)
    batch: list[Admitted] = [touch("r"), refused, touch("s"), refused]
    check(batch, batch)


def test_a_revision_that_lasted_has_a_round_of_its_own() -> None:
    one, other, next_one = touch("r"), touch("s"), touch("r", 2, at=VISIBLE_MS + 1)
    check([one, other, next_one], [one, other], [next_one])


def test_a_revision_that_did_not_last_is_left_out() -> None:
    one, next_one = touch("r"), touch("r", 2, at=VISIBLE_MS)
    check([one, next_one], [next_one])


def test_an_earlier_revision_and_a_repetition_are_left_out() -> None:
    newest = touch("r", 2)
    again = AdmittedTouch(**{name: getattr(newest, name) for name in AdmittedTouch.__slots__})
    again.place = Place("touches", 0, next(OFFSET), 5_000)
    check([newest, touch("r", 1, at=5_000), again], [newest])


def test_the_same_revision_sealed_anew_is_taken_too() -> None:
    one, anew = touch("r"), touch("r", value="2")
    check([one, anew], [one], [anew])


def test_a_retraction_overtakes_its_own_revision_and_no_touch_overtakes_it() -> None:
    one, gone, late = touch("r", 2), taken_back("r", 2), touch("r", 2, at=9_000)
    check([one, gone, late], [gone])


def test_of_a_record_that_two_agencies_claim_nothing_is_left_out() -> None:
    own, others = touch("r"), touch("r", 9, agency="MA2")
    corrected = touch("r", 2, at=VISIBLE_MS + 1)
    check([own, others, corrected], [own], [others], [corrected])
