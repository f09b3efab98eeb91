"""Every refusal of the partner's commands says what to do about it, and quotes nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from silenthit.cli import root

WATCH = ["--label", "Heron", "--phone", "203-555-0142", "--surname", "Quillfeather"]
BASIS = ["--legal-basis", "affidavit"]
PLACE = ["--label", "Pier", *BASIS, "--area", "41.31,-72.924", "--radius", "300",
         "--starts", "2099-01-01T18:00-05:00", "--ends", "2099-01-02"]  # fmt: skip
BROKEN = """
timezone: UTC
people: {duty: {channels: [pager]}}
branches: [{name: all, levels: [{call: [nobody], within: 10m}]}]
last_resort: {call: [duty]}
"""


def _run(*words: str | Path) -> Result:
    return CliRunner().invoke(root, list(map(str, words)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A partner set up by command; its broker is away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SILENTHIT_PARTNER", "fbi/partner.toml")
    assert _run("keyholder", "generate", "epoch1.json", "--epoch", "1").exit_code == 0
    options = ["--name", "fbi", "--bootstrap", "127.0.0.1:1", "--local-key", "epoch1.json"]
    assert _run("partner", "init", "fbi", *options, "--user", "reyes").exit_code == 0
    assert _run("partner", "user", "add", "lee", "--role", "registrar").exit_code == 0
    Path("old.toml").write_text("name = 1")
    Path("two.toml").write_text('[[watch]]\nlabel = "a"\n[[watch]]\nlabel = "b"\n')
    Path("bad.csv").write_text("label,colour\nx,red\n")
    Path("bad.xlsx").write_text("no workbook")
    Path("no_basis.csv").write_text("label,phone\nHeron,203-555-0142\n")
    Path("open.key").write_text("00" * 32)
    Path("open.key").chmod(0o644)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "remedy"),
    [
        (["watch", "add", *WATCH], 5, "with --legal-basis"),
        (["watch", "add", *WATCH, *BASIS, "--stated-by", " "], 5, "--stated-by"),
        (["watch", "add", *WATCH, *BASIS, "--days", "2000"], 5, "renew the watch after its review"),
        (["watch", "add", *WATCH, *BASIS, "--deliver-to", "pager"], 3, "add [channels.pager]"),
        (["watch", "add", *BASIS, "--phone", "203-555-0142"], 2, "give a name"),
        (["watch", "add", "--label", "x", *BASIS, "--surname", "Quillfeather"], 2, "the full date"),
        (["watch", "add", "--label", "x", *BASIS], 2, "add a name or an identifier"),
        (["watch", "add", *PLACE, "--area", "12 Tanglewood Ave"], 2, "no address is looked up"),
        (["watch", "add", *PLACE[:-2]], 2, "--ends"),
        (["watch", "add", *PLACE, "--radius", "6000"], 5, "a smaller place"),
        (["watch", "add", *PLACE, "--ends", "2099-02-03"], 5, "at most 31 days"),
        (["watch", "add", *PLACE, "--kind", "custody"], 2, "--kind operation"),
        (["watch", "add", "--from", "two.toml"], 2, "watch import"),
        (["watch", "add", "--from", "none.toml"], 2, "check its name"),
        (["watch", "import", "bad.csv"], 2, "rename or delete them"),
        (["watch", "import", "bad.xlsx"], 2, "save it as .xlsx"),
        (["watch", "import", "no_basis.csv"], 2, "with --legal-basis"),
        (["watch", "show", "Egret"], 2, "watch list"),
        (["watch", "renew", "Egret"], 5, "--review"),
        (["watch", "edit", "Egret"], 2, "see --help"),
        (["watch", "approve"], 2, "watch list --waiting"),
        (["watch", "approve", "--all", "--as", "lee"], 5, "ask a supervisor"),
        (["alerts", "list", "--as", "lee"], 5, "ask an analyst or a supervisor"),
        (["watch", "list", "--as", "nobody"], 5, "--key-file"),
        (["watch", "list", "--key-file", "open.key"], 5, "chmod 600"),
        (["partner", "init", "fbi", "--name", "x", "--bootstrap", "y", "--local-key",
          "epoch1.json"], 2, "choose another"),
        (["partner", "init", "new", "--name", "Not Allowed", "--bootstrap", "y", "--local-key",
          "epoch1.json"], 2, "another --name"),
        (["partner", "init", "new", "--name", "x", "--bootstrap", "y"], 2, "--key-holder"),
        (["partner", "init", "new", "--name", "x", "--bootstrap", "y", "--local-key",
          "epoch1.json", "--vault-url", "mysql://u@h/d"], 3, "postgresql://"),
        (["partner", "trust", "none.json"], 2, "agency init"),
        (["partner", "user", "add", "Not Allowed", "--role", "analyst"], 2, "lower-case"),
        (["partner", "user", "add", "lee", "--role", "analyst"], 2, "user role"),
        (["partner", "user", "disable", "nobody"], 2, "user list"),
        (["partner", "user", "disable", "reyes"], 5, "supervisor"),
        (["partner", "audit", "--last", "nonsense"], 2, "NUMBER:LINK"),
        (["watch", "list", "--config", "none.toml"], 3, "--config"),
        (["watch", "list", "--config", "old.toml"], 3, "correct it"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_to_do(folder: Path, words: list[str], code: int, remedy: str) -> None:
    refused = _run(*words)
    said = " ".join(refused.output.split())
    assert refused.exit_code == code, said
    assert remedy in said
    assert "expected" in said
    assert "Quillfeather" not in said
    assert "203-555" not in said


def test_nothing_was_stored_by_what_was_refused(folder: Path) -> None:
    _run("watch", "add", *WATCH)
    _run("watch", "import", "no_basis.csv")
    assert json.loads(_run("watch", "list", "--removed", "--json").output) == []


def test_a_protocol_that_could_miss_somebody_is_refused(folder: Path) -> None:
    Path("fbi/protocol.yaml").write_text(BROKEN)
    config = Path("fbi/partner.toml")
    config.write_text('protocol = "protocol.yaml"\n' + config.read_text())
    for words in (["alerts", "list"], ["watch", "add", *WATCH, *BASIS]):
        refused = _run(*words)
        assert refused.exit_code == 3
        assert "protocol check" in refused.output
    checked = _run("protocol", "check")
    assert checked.exit_code == 2
    assert "nobody" in checked.output


def test_a_broker_that_is_away_loses_nothing_and_is_not_waited_for_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.sending.PATIENCE_S", 0.2)
    added = _run("watch", "add", *WATCH, *BASIS)
    assert added.exit_code == 4
    assert "goes out with the next command" in " ".join(added.output.split())
    (found,) = json.loads(_run("watch", "list", "--json").output)
    assert found["state"] == "sending"


def test_a_place_is_tried_entered_changed_and_shown_by_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.sending.PATIENCE_S", 0.2)
    tried = _run("watch", "add", *PLACE, "--dry-run")
    assert tried.exit_code == 0
    assert "place and time:" in tried.output
    assert "ends by itself with its time" in " ".join(_run("watch", "add", "--help").output.split())
    assert _run("watch", "add", *PLACE, "--distance", "250").exit_code == 4  # the broker is away
    assert _run("watch", "edit", "Pier", "--radius", "400", "--ends", "2099-01-03").exit_code == 4
    shown = json.loads(_run("watch", "show", "Pier", "--json").output)
    assert shown["area"] == {
        "plan": {"lat": 41.31, "lon": -72.924, "radius_m": 400.0,
                 "starts_at": "2099-01-01T23:00:00Z", "ends_at": "2099-01-03T00:00:00Z"},
        "distance_m": 250.0,
    }  # fmt: skip
    for words in (["list"], ["show", "Pier"]):
        assert "place" in _run("watch", *words).output
    alone = _run("watch", "edit", "Pier", "--no-area")
    assert "subject or a place" in " ".join(alone.output.split())
    refused = _run("watch", "deconflict", "Pier", "--on", "--phone", "203-555-0100")
    assert "people and things alone" in " ".join(refused.output.split())
