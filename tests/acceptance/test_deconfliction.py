"""Two partners learn of each other if both said yes, and nobody of anything else: on Apache Kafka.

One town, a subject a case, so that what anybody can read of one case stands beside that of another.
Each case is a letter and a number of a subject's own; all else is alike, to the byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from click.testing import CliRunner

from schemas import codec
from schemas.deconfliction import FirstSeen, Meeting, Told, meeting_id
from silenthit.blinding.epochs import Epochs, EpochState
from silenthit.blinding.sealed_watches import WatchOpener
from silenthit.blinding.slots import SLOT_BYTES
from silenthit.bus.clients import KafkaSettings, Message, TopicReader
from silenthit.cli import root
from silenthit.errors import SettingsError
from stream_processors.admission import AdmittedWatch, admit_watch
from stream_processors.watch_keys import WatchKeys
from tests.noninterference.compared import compare
from tests.noninterference.observed import Fields
from tests.town import Town, town, wait_until

pytestmark = pytest.mark.slow

SETTLES_S = 2
TOPICS = ("watches.fbi", "watches.hsi", "alerts.fbi", "alerts.hsi", "meetings",
          "deconflictions.fbi", "deconflictions.hsi")  # fmt: skip
# What fbi says, what hsi says, and who came first. "absent": hsi does not watch the subject.
CASES = {
    "a": ("yes", "yes", "fbi"),
    "b": ("yes", "yes", "hsi"),
    "c": ("yes", "no", "fbi"),
    "d": ("yes", "no", "hsi"),
    "e": ("no", "yes", "fbi"),
    "f": ("no", "yes", "hsi"),
    "g": ("no", "no", "fbi"),
    "h": ("no", "no", "hsi"),
    "i": ("yes", "absent", "fbi"),
    "j": ("yes", "edited to no", "hsi"),
    "k": ("yes", "expired", "hsi"),
    "l": ("yes", "another subject", "hsi"),
    "m": ("yes", "removed", "hsi"),
}
LATER = {"n": ("yes", "no", "fbi"), "z": ("yes", "yes", "hsi")}  # of which more below; the last
TOLD = {"a", "b", "z"}


def command(made: Town, partner: str, *words: str) -> str:
    """Run a partner's command in this process: there are a hundred of them."""
    done = CliRunner().invoke(root, [*words, *made.of(partner, "partner")])
    assert done.exit_code == 0, done.output[-2000:]
    return done.output


def watches(letters: str, number: str = "21909") -> str:
    """One watch a letter, all of one shape, each of somebody else."""
    return "".join(
        f'[[watch]]\nlabel = "case {each}"\nlegal_basis = "affidavit"\nstated_by = "SA"\n'
        f'[[watch.subject]]\nidentifiers = [{{kind = "ssn", value = "{number}{ord(each):04}"}}]\n'
        for each in letters
    )


def say(made: Town, partner: str, letter: str, word: str, phone: str = "203-555-0100") -> None:
    """Say yes or no on the watch of a case, by one command."""
    shown = (
        "--on",
        "--contact",
        f"desk of {partner}",
        "--phone",
        phone,
        "--label",
        f"case {letter}",
    )
    words = shown if word == "yes" else ("--off",)
    command(made, partner, "watch", "deconflict", f"case {letter}", *words)


def happen(made: Town, cases: dict[str, tuple[str, str, str]]) -> None:
    for first, second in (("fbi", "hsi"), ("hsi", "fbi")):
        letters = [each for each, (_, _, who) in cases.items() if who == first]
        for partner in (first, second):
            place = 0 if partner == "fbi" else 1
            there = [each for each in letters if cases[each][place] != "absent"]
            if there:
                made.watch(partner, watches("".join(there)))
            for letter in there:
                word = cases[letter][place]
                say(made, partner, letter, "no" if word == "no" else "yes")
                settle(made, partner, letter, word)


def settle(made: Town, partner: str, letter: str, word: str) -> None:
    """What comes in between, before the other one says yes."""
    if word == "edited to no":
        say(made, partner, letter, "no")
    elif word in {"expired", "removed"}:
        command(made, partner, "watch", word.removesuffix("d"), f"case {letter}")
    elif word == "another subject":
        path = made.folder / "other.toml"
        path.write_text(watches(letter, "21908"), encoding="utf-8")
        command(made, partner, "watch", "edit", f"case {letter}", "--subjects", str(path))


@pytest.fixture(scope="module")
def valley(module_kafka: KafkaSettings, redis_server: str, tmp_path_factory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("valley"), module_kafka, redis_server) as made:
        key = made.deconfliction_key(SETTLES_S)
        for name in ("fbi", "hsi"):
            made.add_partner(name, options=("--exchange-key", str(key)))
        made.start_deconflicting()
        happen(made, CASES)
        happen(made, LATER)
        wait_for(made, "z")
        yield made


def records(made: Town, *topics: str) -> list[Message]:
    with TopicReader(made.kafka, topics or TOPICS, client_id="test") as reader:
        return [message for messages in reader.read_to_end() for message in messages]


def registration(made: Town, partner: str, letter: str) -> bytes:
    """The id under which a case's watch stands at the exchange: the order of the list is ours."""
    every = command(made, partner, "watch", "list", "--removed", "--json")
    ids = {each["label"]: each["watch_id"] for each in json.loads(every)}
    return bytes.fromhex(known(made, partner)[ids[f"case {letter}"]])


def known(made: Town, partner: str) -> dict[str, str]:
    """Watch id to registration id, from the partner's own vault."""
    from consumers.partner import open_partner
    from consumers.vault import REGISTRATIONS

    ours = open_partner(made.folder / partner / "partner.toml", calls=False)
    try:
        with ours.vault.read() as rows:
            found = rows.find(REGISTRATIONS, columns=("watch_id",))
            return {row["watch_id"].hex(): row["id"][:16].hex() for row in found}
    finally:
        ours.vault.close()


def meetings_of(made: Town, partner: str) -> list[Meeting]:
    found = records(made, f"deconflictions.{partner}")
    return [codec.decode(each.value or b"", Meeting) for each in found]


def wait_for(made: Town, letter: str) -> None:
    """Wait until the pair that came last was told: all before it was looked at by then."""
    pair = meeting_id(*(registration(made, who, letter) for who in ("fbi", "hsi")))
    wait_until(
        lambda: all(
            pair in {each.meeting_id for each in meetings_of(made, who)} for who in ("fbi", "hsi")
        ),
        f"case {letter} to be told",
    )


def inbox(made: Town, partner: str) -> list[dict[str, Any]]:
    command(made, partner, "alerts", "receive", "--once")
    return json.loads(command(made, partner, "deconflictions", "list", "--json"))


def readable(made: Town, found: list[Message], partner: str, letter: str) -> Fields:
    """All that the brokers hold of one side of one case, whoever may read it."""
    own, fields = registration(made, partner, letter), Fields()
    for topic in TOPICS:
        about = [each for each in found if each.topic == topic and _about(each, own)]
        fields[f"{topic}/count"] = len(about)
        for number, message in enumerate(about):
            fields[f"{topic}/{number}/key/length"] = len(message.key or b"")
            fields[f"{topic}/{number}/value/length"] = len(message.value or b"")
            fields[f"{topic}/{number}/headers"] = message.headers
    return fields


def _about(message: Message, own: bytes) -> bool:
    if message.topic.startswith("deconflictions."):
        return codec.decode(message.value or b"", Meeting).registration_id == own
    if message.topic == "meetings" and len(message.key or b"") == len(own):
        sides = codec.decode(message.value or b"", Told).sides
        return own in {side.registration_id for side in sides}
    return (message.key or b"").startswith(own)


def vault_side(made: Town, partner: str, letter: str) -> Fields:
    """What the partner's own commands print of the case, but for its ids and times."""
    shown = json.loads(command(made, partner, "watch", "show", f"case {letter}", "--json"))
    log = json.loads(command(made, partner, "watch", "history", f"case {letter}", "--json"))
    met = [each for each in inbox(made, partner) if each["label"] == f"case {letter}"]
    times = {"watch_id", "label", "subjects", "shows", "created_at", "approved_at", "expires_at",
             "basis_at"}  # fmt: skip
    fields: Fields = {f"shown/{key}": each for key, each in shown.items() if key not in times}
    fields["shows"] = {**(shown["shows"] or {}), "case_number": ""}
    fields["log"] = [(each["action"], each["who"], each["text"]) for each in log]
    fields["met"] = len(met)
    return fields


def test_both_are_told_where_both_said_yes_and_read_what_the_other_chose(valley: Town) -> None:
    for partner, other in (("fbi", "hsi"), ("hsi", "fbi")):
        found = {each["label"]: each for each in inbox(valley, partner)}
        assert set(found) == {f"case {letter}" for letter in TOLD}
        for letter in TOLD:
            each = found[f"case {letter}"]
            assert (each["shown_as"], each["name"]) == (other, f"desk of {other}")
            assert (each["phone"], each["case_label"]) == ("203-555-0100", f"case {letter}")
            assert each["subjects"] == [1]
        number = found["case a"]["meeting_id"][:8]
        text = command(valley, partner, "deconflictions", "show", number)
        assert f"desk of {other}" in text
        assert "21909" not in text


def test_both_at_the_same_moment_and_not_before_each_was_known_long_enough(valley: Town) -> None:
    found = records(valley)
    told = {
        each.key: codec.decode(each.value or b"", Told)
        for each in found
        if each.topic == "meetings" and len(each.key or b"") == 16
    }
    pairs = {
        partner: {m.meeting_id for m in meetings_of(valley, partner)} for partner in ("fbi", "hsi")
    }
    assert pairs["fbi"] == pairs["hsi"] == set(told)
    since = {
        (each.key or b"")[:16]: codec.decode(each.value or b"", FirstSeen).at
        for each in found
        if each.topic == "meetings" and len(each.key or b"") > 16 and each.value
    }
    for each in told.values():
        for side in each.sides:
            assert each.at >= since[side.registration_id] + SETTLES_S * 1000


def test_whatever_else_was_said_the_side_that_said_yes_can_read_the_same(valley: Town) -> None:
    found = records(valley)
    seen = [
        {**readable(valley, found, "fbi", letter), **vault_side(valley, "fbi", letter)}
        for letter in "cdijklm"
    ]
    for one, other in pairwise(seen):
        outcome = compare(one, other)
        assert not outcome.differences
        assert outcome.fields > 30
    assert seen[0]["met"] == seen[0]["deconflictions.fbi/count"] == 0
    assert {**readable(valley, found, "fbi", "a")} != {**readable(valley, found, "fbi", "c")}


def test_no_and_yes_look_alike_to_whoever_reads_the_brokers(valley: Town) -> None:
    found = records(valley)
    for partner, letters in (("fbi", "cdefgh"), ("hsi", "cdefgh")):
        seen = []
        for letter in letters:
            fields = readable(valley, found, partner, letter)
            seen.append(fields)
        for one, other in pairwise(seen):
            outcome = compare(one, other)
            assert not outcome.differences
            assert outcome.fields > 10
    noes = [vault_side(valley, "fbi", letter) for letter in "efgh"]
    assert all(not compare(one, other).differences for one, other in pairwise(noes))


def test_every_registration_has_a_slot_and_every_message_one_size(valley: Town) -> None:
    placed = [each for each in records(valley, "watches.fbi", "watches.hsi") if each.value]
    opener = WatchOpener(WatchKeys(valley.folder / "exchange" / "keys" / "watches"))
    admitted = [admit_watch(each, Epochs({1: EpochState.CURRENT}), opener) for each in placed]
    slots = {each.registration.slot for each in admitted if isinstance(each, AdmittedWatch)}
    assert {len(each) for each in slots} == {SLOT_BYTES}
    assert len(slots) == len(placed), "no two are alike"
    told = records(valley, "deconflictions.fbi", "deconflictions.hsi")
    assert len({len(each.value or b"") for each in told}) == 1
    assert b"desk of" not in b"".join(each.value or b"" for each in records(valley))


def test_who_says_yes_later_is_told_then_and_a_no_after_that_tells_nothing(valley: Town) -> None:
    say(valley, "hsi", "n", "yes")
    wait_for(valley, "n")
    before = {who: len(meetings_of(valley, who)) for who in ("fbi", "hsi")}
    say(valley, "hsi", "n", "no")
    say(valley, "fbi", "a", "yes", phone="203-555-0111")
    wait_until(lambda: len(meetings_of(valley, "hsi")) > before["hsi"], "the other card")
    assert len(meetings_of(valley, "fbi")) == before["fbi"]
    found = {each["label"]: each for each in inbox(valley, "hsi")}
    assert found["case a"]["phone"] == "203-555-0111"
    assert "case n" in {each["label"] for each in inbox(valley, "fbi")}


def test_a_process_that_takes_over_tells_nobody_twice_and_the_first_one_ends(
    valley: Town,
) -> None:
    before = {who: len(meetings_of(valley, who)) for who in ("fbi", "hsi")}
    valley.start_deconflicting("anew")
    for who in ("fbi", "hsi"):
        valley.watch(who, watches("y"))
        say(valley, who, "y", "yes")
    wait_for(valley, "y")
    assert {who: len(meetings_of(valley, who)) - count for who, count in before.items()} == {
        "fbi": 1,
        "hsi": 1,
    }
    assert valley.workers[0].wait(30) == SettingsError.exit_code, "it could not tell them, too"
    book = valley.run("exchange", "deconflictions", "--json", *valley.exchange)
    lines = [json.loads(line) for line in book.splitlines()]
    told = [line["meeting"] for line in lines if line["what"] == "told"]
    assert sorted(told) == sorted({each.meeting_id.hex() for each in meetings_of(valley, "fbi")})
    assert "21909" not in book
