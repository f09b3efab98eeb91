from __future__ import annotations

from collections import Counter

from silenthit.demo.outcome import Outcome, SeenAlert
from silenthit.demo.samples import Expected, find_samples, joined, paced_batches, whole_batches


def lines(batches):
    """Every data line and XML file that some batches publish."""
    found = Counter()
    for batch in batches:
        for file in batch.files:
            if batch.mapping is None:
                found[file.name] += 1
            else:
                found.update(file.read_text().strip().splitlines()[1:])
    return found


def test_pieces_joined_again_or_not_are_the_whole_samples(tmp_path):
    pieces = list(paced_batches(find_samples(), tmp_path))
    whole = whole_batches(find_samples())
    assert len(pieces) > len(whole)
    assert lines(pieces) == lines(joined(pieces)) == lines(whole)
    assert len(joined(pieces)) == len(whole)


def test_pieces_keep_the_rows_of_one_record_together(tmp_path):
    holding = [
        file
        for piece in paced_batches(find_samples(), tmp_path)
        for file in piece.files
        if "FI25-3304" in file.read_text()
    ]
    assert len(holding) == 1


def seen(label, latency_ms=1.0):
    return SeenAlert(
        partner="p",
        label=label,
        record_number="1",
        agency="",
        kind="",
        decision="hit",
        latency_ms=latency_ms,
    )


def outcome(expected, came):
    return Outcome(touches=0, watches=0, expected=expected, seen=came)


def test_a_second_copy_of_an_expected_alert_is_unexpected():
    found = outcome([Expected("p", "a", "1")], [seen("a"), seen("a")])
    assert found.unexpected == [Expected("p", "a", "1")]
    assert not found.as_expected


def test_an_alert_that_did_not_come_is_missing_though_another_came():
    found = outcome([Expected("p", "a", "1")], [seen("b")])
    assert found.missing == [Expected("p", "a", "1")]
    assert found.summary()["unexpected_alerts"] == 1
    assert not found.as_expected


def test_percentiles_are_times_that_were_measured():
    found = outcome([], [seen("a", ms) for ms in (5.0, 1.0, 3.0, 2.0, 4.0)])
    assert found.summary()["alert_latency_ms"] == {"p50": 3.0, "p99": 5.0}


def test_without_alerts_there_is_no_latency():
    assert outcome([], []).summary()["alert_latency_ms"] == {"p50": None, "p99": None}
