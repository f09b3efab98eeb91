"""The watch side of the record opens by its owner's consent, provably, or by a court's key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas import codec
from schemas.disclosures import Disclosure
from schemas.topics import DISCLOSURES
from silenthit.blinding.disclosure_boxes import CONTENT_BYTES, Told, open_box, seal_told
from silenthit.blinding.disclosure_key import DisclosureKey, load_private, make_private
from silenthit.blinding.epoch_secrets import EpochSecrets
from silenthit.bus.clients import Message
from silenthit.cli import root
from silenthit.errors import InputError
from stream_processors import disclosure_commands
from stream_processors.disclosure_boxes import DisclosureSettings
from stream_processors.disclosure_opening import Listed, disclosed, listed, opened_by_court
from stream_processors.disclosures import Chain
from stream_processors.settings import Organisations

WHY = "--to", "D. Conn. 3:26-mc-9", "--purpose", "motion to suppress"


def run(*words: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(root, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def fbi(tmp_path: Path) -> Path:
    """A partner set up by its own command."""
    EpochSecrets.generate(1).save(tmp_path / "epoch1.json")
    fixed = (
        "--bootstrap",
        "127.0.0.1:9",
        "--local-key",
        tmp_path / "epoch1.json",
        "--user",
        "okafor",
    )
    run("partner", "init", tmp_path / "fbi", "--name", "fbi", *fixed)
    return tmp_path / "fbi" / "partner.toml"


@pytest.fixture
def record(fbi: Path, tmp_path: Path) -> list[Listed]:
    """Two meetings of the partner's, with one of another's between, sealed to a court, too."""
    handed_over, court = tmp_path / "fbi.json", make_private(tmp_path / "court.key")
    run("partner", "disclosure-key", "--out", handed_over, "--config", fbi)
    known = Organisations(partners=("fbi", "hsi")).with_disclosure_key(
        DisclosureKey.load(handed_over)
    )
    settings = DisclosureSettings(court=court).knowing(known.disclosure_keys)
    chain = Chain(settings, process="w1", heads=tmp_path)
    links = []
    for number, partner in enumerate(("fbi", "hsi", "fbi")):
        links += (new := chain.meeting(bytes([number]) * 16, [(partner, bytes([9]) * 16)]))
        chain.confirmed(new)
    messages = [
        Message(DISCLOSURES.name, 0, number, 0, each.key, each.value, ())
        for number, each in enumerate(links)
    ]
    return list(listed(messages))


def write_list(path: Path, record: list[Listed]) -> Path:
    path.write_text("".join(json.dumps(each.shown()) + "\n" for each in record), "utf-8")
    return path


def checked(
    monkeypatch: pytest.MonkeyPatch, record: list[Listed], file: Path, code: int = 0
) -> Result:
    """Run the auditor's command over this record instead of the brokers'."""
    links: dict[int, Disclosure] = {}
    for each in record:
        links[each.number] = Disclosure(
            chain=each.chain,
            number=each.number,
            previous=bytes(32),
            event="told",
            process="w1",
            at=each.at,
            entries=(each.entry,),
            commitments=each.commitment,
        )
    lying = [Message(DISCLOSURES.name, 0, 0, 0, b"", codec.encode(x), ()) for x in links.values()]
    monkeypatch.setattr(disclosure_commands, "_read", lambda *_: iter([lying]))
    return run("exchange", "disclosures", "check", file, code=code)


def test_what_its_owner_discloses_is_proven_to_the_auditor(
    fbi: Path, record: list[Listed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "opened.jsonl"
    everything = write_list(tmp_path / "list.jsonl", record)
    said = run("partner", "disclose", everything, "--all", "--out", out, *WHY, "--config", fbi)
    assert "2 of 2 entries" in said.output
    assert out.stat().st_mode & 0o777 == 0o600
    proven = [json.loads(line) for line in checked(monkeypatch, record, out).stdout.splitlines()]
    assert [each["id"] for each in proven] == ["00" * 16, "02" * 16]
    assert {each["told"]["partner"] for each in proven} == {"fbi"}
    logged = run("partner", "audit", "--json", "--config", fbi).output
    assert logged.count("motion to suppress") == 2


def test_the_auditor_s_own_list_says_nothing_of_who_was_told(record: list[Listed]) -> None:
    lines = [json.dumps(each.shown()) for each in record]
    assert not any("fbi" in line or "hsi" in line for line in lines)
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("part", ["told", "opening", "number"])
def test_what_was_not_told_can_not_be_shown(
    fbi: Path,
    record: list[Listed],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    out = tmp_path / "opened.jsonl"
    everything = write_list(tmp_path / "list.jsonl", record)
    run("partner", "disclose", everything, "--all", "--out", out, *WHY, "--config", fbi)
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    if part == "told":
        lines[0]["told"]["registration"] = "08" * 16
    elif part == "opening":
        lines[0]["opening"] = "00" * 32
    else:
        lines[0]["number"] = 2  # the other's
    out.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    refused = checked(monkeypatch, record, out, code=1)
    assert refused.stderr.count("FAULT") == 1
    assert len(refused.stdout.splitlines()) == 1  # the other line is proven all the same


def test_only_what_is_chosen_leaves_and_never_without_a_choice(
    fbi: Path, record: list[Listed], tmp_path: Path
) -> None:
    everything = write_list(tmp_path / "list.jsonl", record)
    out = tmp_path / "opened.jsonl"
    fixed = "--out", out, *WHY, "--config", fbi
    refused = run("partner", "disclose", everything, *fixed, code=2)
    assert "expected what to disclose" in refused.stderr
    for words in (["--until", "2020-01-01"], ["--alert", "3f9a"]):
        assert (
            "none chosen" in run("partner", "disclose", everything, *words, *fixed, code=2).stderr
        )
        assert not out.exists()
    run("partner", "disclose", everything, "--since", "2020-01-01", *fixed)
    assert len(out.read_text("utf-8").splitlines()) == 2


def test_a_court_s_key_opens_every_entry_and_no_other_key_does(
    record: list[Listed], tmp_path: Path
) -> None:
    court = load_private(tmp_path / "court.key")
    opened = [opened_by_court(each, court) for each in record]
    assert [each["told"]["partner"] for each in opened if each] == ["fbi", "hsi", "fbi"]
    assert not any(opened_by_court(each, X25519PrivateKey.generate()) for each in record)


def test_a_box_that_says_something_else_than_was_committed_to_is_named(
    record: list[Listed], tmp_path: Path
) -> None:
    one, other = record[0], record[1]
    court = load_private(tmp_path / "court.key")
    swapped = Listed(
        chain=one.chain,
        number=one.number,
        index=0,
        at=one.at,
        entry=one.entry,
        commitment=other.commitment,
    )
    with pytest.raises(InputError, match="committed"):
        opened_by_court(swapped, court)


def test_a_box_has_one_size_and_refuses_more_than_it_holds() -> None:
    key = X25519PrivateKey.generate()
    public = key.public_key()
    longest = {"partner": "p" * 48, "registration": "0" * 32, "alert": "0" * 32}
    sealed = seal_told(longest, b"a" * 16, [public, None])
    assert len({len(box) for box in sealed.boxes}) == 1
    told = open_box(sealed.boxes[0], key, b"a" * 16)
    assert told is not None
    assert told.commitment() == sealed.commitment
    assert Told({**longest, "partner": "q"}, told.opening).commitment() != sealed.commitment
    with pytest.raises(InputError, match="at most"):
        seal_told({"partner": "p" * CONTENT_BYTES}, b"a" * 16, [public])


@pytest.mark.parametrize("text", ["{}", "[]", "x", '{"chain": "00", "number": 1, "index": 0}'])
def test_another_file_than_a_partner_s_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="partner disclose"):
        disclosed(text)


def test_the_exchange_takes_a_key_of_who_is_enrolled_alone(tmp_path: Path) -> None:
    key = DisclosureKey(partner="hsi", key="00" * 32)
    with pytest.raises(InputError, match="enrol it first"):
        Organisations(partners=("fbi",)).with_disclosure_key(key)
    saved = tmp_path / "organisations.json"
    Organisations(partners=("fbi", "hsi")).with_disclosure_key(key).save(saved)
    assert Organisations.load(saved).disclosure_keys == {"hsi": "00" * 32}
