"""Who may run what: every command against every role, and how people prove who they are."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from consumers.roles import COMMANDS, Right, Role, table
from consumers.vault import Vault
from silenthit.bus.clients import KafkaSettings
from silenthit.cli import ENTRIES, load, root
from tests.partner_room import john, watch_on
from tests.unit.test_help import commands

PEOPLE = {"lee": Role.REGISTRAR, "okafor": Role.ANALYST, "reyes": Role.SUPERVISOR,
          "ford": Role.AUDITOR}  # fmt: skip
NAMES = {role: name for name, role in PEOPLE.items()}
# What a command asks for by itself, beside what click says that it requires.
MORE = {
    "partner trust": ["signer.json"],
    "partner disclose": ["--all"],
    "watch add": ["--label", "x", "--legal-basis", "y", "--phone", "203-555-0142"],
    "watch approve": ["--all"],
    "watch deconflict": ["--off"],
    "watch edit": ["--label", "Egret"],
    "watch renew": ["--review", "stands"],
    "alerts snooze": ["4h"],
    "alerts export": ["case.json", "--to", "x", "--purpose", "y"],
}


class PastTheGuardError(Exception):
    """Raised where a command would begin to work as somebody."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A partner with one person of each role, set up by command; nothing is sent."""
    monkeypatch.chdir(tmp_path)
    for name in ("SILENTHIT_PARTNER", "SILENTHIT_USER", "SILENTHIT_USER_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert _run("keyholder", "generate", "epoch1.json", "--epoch", "1").exit_code == 0
    options = ["--name", "fbi", "--bootstrap", "127.0.0.1:1", "--local-key", "epoch1.json"]
    assert _run("partner", "init", "fbi", *options, "--user", "reyes").exit_code == 0
    path = tmp_path / "fbi" / "partner.toml"
    for name, role in PEOPLE.items():
        if name != "reyes":
            made = _run("partner", "user", "add", name, "--role", role.value, "--config", str(path))
            assert made.exit_code == 0, made.output
    return path


def _run(*words: str) -> Result:
    return CliRunner().invoke(root, list(words))


def _commands() -> dict[str, click.Command]:
    """Every command that works on a partner's vault, whatever group it is in."""
    theirs = [name for name, entry in ENTRIES.items() if entry.module.startswith("consumers")]
    return {
        words: each
        for name in theirs
        for words, each in commands(load(name), (name,))
        if not isinstance(each, click.Group) or each.invoke_without_command
    }


def _words(name: str, command: click.Command) -> list[str]:
    """Return a command with what it requires, in a form that click lets pass."""
    more = MORE.get(name, [])
    words = name.split()
    for param in command.params:
        if param.required and isinstance(param, click.Option):
            words += [param.opts[0], _sample(param)]
    arguments = [p for p in command.params if isinstance(p, click.Argument) and p.required]
    own = next((n for n, each in enumerate(more) if each.startswith("-")), len(more))
    words += [_sample(each) for each in arguments[: len(arguments) - own]]
    return words + more


def _sample(param: click.Parameter) -> str:
    if isinstance(param.type, click.Choice):
        return str(param.type.choices[0])
    if isinstance(param.type, click.Path) and param.type.exists:
        Path("list.toml").touch()
        return "list.toml"
    return "out.html" if isinstance(param.type, click.Path) else "7c1e"


def test_the_table_names_every_command_of_a_partner() -> None:
    assert set(_commands()) == set(COMMANDS)


@pytest.mark.parametrize("role", Role)
def test_every_command_keeps_to_the_table(
    config: Path, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    def past(*_: object) -> None:
        raise PastTheGuardError

    monkeypatch.setattr(Vault, "as_actor", past)
    there = _commands()
    for command, right in COMMANDS.items():
        if right is None:
            continue
        words = [*_words(command, there[command]), "--config", str(config)]
        done = _run(*words, "--as", NAMES[role])
        if right in role.rights:
            assert "PastTheGuardError" in done.output, (command, done.output)
        else:
            assert done.exit_code == 5, (command, done.output)
            assert f"the right to {right.value}" in done.output
            assert "ask a" in done.output


def test_the_documents_have_the_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "partner.md").read_text("utf-8")
    lines = ["| command | " + " | ".join(Role) + " |", "|---|" + "---|" * len(Role)]
    lines += ["| " + " | ".join(f"`{c}`" if not n else c for n, c in enumerate(line)) + " |"
              for line in table()]  # fmt: skip
    wanted = "\n".join(lines)
    assert wanted in text, f"put this table into docs/partner.md:\n{wanted}"


def test_each_role_has_a_right_of_its_own_kind() -> None:
    assert Role.AUDITOR.rights == {Right.AUDIT}
    assert Right.CHANGE not in Role.REGISTRAR.rights
    assert not Role.ANALYST.rights & {Right.ENTER, Right.CHANGE, Right.MANAGE, Right.AUDIT}


def test_who_cannot_prove_it_is_refused_and_the_log_says_so(config: Path) -> None:
    keys = config.parent / "keys" / "users"
    listing = ["watch", "list", "--config", str(config)]
    for words in (
        ["--as", "okafor", "--key-file", str(keys / "lee.key")],
        ["--as", "nobody", "--key-file", str(keys / "lee.key")],
    ):
        refused = _run(*listing, *words)
        assert refused.exit_code == 5
        assert "partner user add" in refused.output
    missing = _run(*listing, "--as", "nobody")
    assert missing.exit_code == 5
    assert "--key-file" in missing.output
    (keys / "lee.key").chmod(0o640)
    open_to_others = _run(*listing, "--as", "lee")
    assert open_to_others.exit_code == 5
    assert "chmod 600" in open_to_others.output
    assert _run("partner", "user", "disable", "okafor", "--config", str(config)).exit_code == 0
    assert _run(*listing, "--as", "okafor").exit_code == 5
    lost = ["partner", "user", "key", "okafor", "--new-key", "new.key", "--config", str(config)]
    assert _run(*lost).exit_code == 0
    assert _run(*listing, "--as", "okafor").exit_code == 5  # the old one is void
    assert _run(*listing, "--as", "okafor", "--key-file", "new.key").exit_code == 0
    found = _audit(config)
    assert [each["who"] for each in found if each["action"] == "refused"] == [
        "okafor",
        "nobody",
        "okafor",
        "okafor",
    ]


def test_a_passphrase_proves_it_too(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.users._PASSPHRASE_COST", 2**10)
    monkeypatch.setattr("consumers.command_line.at_a_terminal", lambda: True)
    words = ["partner", "user", "add", "bell", "--role", "analyst", "--passphrase"]
    short = CliRunner().invoke(root, [*words, "--config", str(config)], input="short\nshort\n")
    assert short.exit_code == 2
    assert "12 characters" in short.output
    long = "correct horse battery\n"
    added = CliRunner().invoke(root, [*words, "--config", str(config)], input=long * 2)
    assert added.exit_code == 0, added.output
    listing = ["watch", "list", "--config", str(config), "--as", "bell"]
    assert CliRunner().invoke(root, listing, input=long).exit_code == 0
    assert CliRunner().invoke(root, listing, input="another one here\n").exit_code == 5
    assert b"battery" not in (config.parent / "vault.sqlite").read_bytes()


def test_a_supervisor_is_always_left(config: Path) -> None:
    for words in (["disable", "reyes"], ["role", "reyes", "analyst"]):
        refused = _run("partner", "user", *words, "--config", str(config))
        assert refused.exit_code == 5
        assert "partner user role NAME supervisor" in refused.output
    assert (
        _run("partner", "user", "role", "ford", "supervisor", "--config", str(config)).exit_code
        == 0
    )
    assert _run("partner", "user", "disable", "reyes", "--config", str(config)).exit_code == 0
    listed = _run("partner", "user", "list", "--json", "--config", str(config), "--as", "ford")
    standing = {each["name"]: each["disabled_at"] is None for each in json.loads(listed.output)}
    assert standing == {"ford": True, "lee": True, "okafor": True, "reyes": False}


def _audit(config: Path, *words: str) -> list[dict[str, object]]:
    done = _run("partner", "audit", "--json", "--config", str(config), "--as", "ford", *words)
    assert done.exit_code == 0, done.output
    found: list[dict[str, object]] = json.loads(done.output)["entries"]
    return found


def test_an_auditor_reconstructs_who_saw_and_did_what(config: Path) -> None:
    from consumers.placing import add_watches
    from consumers.times import from_ms
    from consumers.users import read_key_file, sign_in
    from consumers.vault_keys import load_key
    from silenthit.blinding.epoch_secrets import EpochSecrets
    from silenthit.blinding.prf import LocalKey

    key = load_key(config.parent / "keys" / "vault.key")
    vault = Vault.open(config.parent / "vault.sqlite", key)
    lee = sign_in(vault, "lee", read_key_file(config.parent / "keys" / "users" / "lee.key"))
    now = from_ms(vault.clock())
    prf = LocalKey([EpochSecrets.load(Path("epoch1.json"))])
    watches = [watch_on(john(), label=label, expires_at=now.replace(year=now.year + 1))
               for label in ("Heron", "Egret")]  # fmt: skip
    one, two = add_watches(
        vault.as_actor(lee), watches, partner="fbi", epochs=(1,), prf=prf, now=now
    )
    vault.close()
    at = ["--config", str(config)]
    assert _run("watch", "list", *at, "--as", "okafor").exit_code == 0
    assert _run("watch", "show", "Heron", *at, "--as", "reyes").exit_code == 0
    about_one = [(each["who"], each["action"]) for each in _audit(config, "--about", one.hex()[:8])]
    assert about_one == [("lee", "added"), ("okafor", "seen"), ("reyes", "seen"),
                         ("reyes", "viewed")]  # fmt: skip
    (listing,) = _audit(config, "--who", "okafor")
    assert set(listing["seen"]) == {one.hex(), two.hex()}  # type: ignore[call-overload]
    text = json.dumps(_audit(config)).lower()
    assert "quillfeather" not in text
    ended = _run("partner", "audit", *at, "--as", "ford").output
    assert "The log is whole" in ended
    noted = ended.rsplit(" ", 1)[1].strip()
    assert _run("partner", "audit", "--last", noted, *at, "--as", "ford").exit_code == 0
    wrong = _run("partner", "audit", "--last", "99:0123456789abcdef", *at, "--as", "ford")
    assert wrong.exit_code == 6
    assert "cut off" in wrong.output


def test_a_watch_that_a_registrar_entered_waits(
    config: Path, embedded_broker: KafkaSettings
) -> None:
    text = config.read_text("utf-8").replace("127.0.0.1:1", embedded_broker.bootstrap_servers)
    config.write_text(text, "utf-8")
    about = ["--label", "Heron", "--legal-basis", "affidavit", "--phone", "203-555-0142"]
    at = ["--config", str(config)]
    added = _run("watch", "add", *about, *at, "--as", "lee")
    assert "waiting" in added.output
    assert "watch approve" in added.output
    assert "Heron" in _run("watch", "list", "--waiting", *at).output
    assert "1 approved" in _run("watch", "approve", "Heron", *at).output
    (found,) = json.loads(_run("watch", "list", "--json", *at).output)
    assert found["state"] == "active"
    assert found["owner"] == "lee"
    done = _run("watch", "history", "Heron", *at).output
    assert "added lee" in done
    assert "approved reyes" in done


def test_a_first_watch_is_asked_for_at_a_terminal_until_somebody_could_be_found_by_it(
    config: Path, embedded_broker: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.command_line.at_a_terminal", lambda: True)
    text = config.read_text("utf-8").replace("127.0.0.1:1", embedded_broker.bootstrap_servers)
    config.write_text(text, "utf-8")
    about = ["Heron", "affidavit of 2026-10-02", "50A-NH-1", ""]
    too_little = ["Quillfeather", "John", "", "", "", ""]
    enough = ["", "", "1980-01-02", "203-555-0142; 203-555-0143", "CT:AB12345", ""]
    another = ["y", "", "", "", "203-555-0199", "", "instagram:red", "n"]
    typed = "\n".join([*about, *too_little, *enough, *another]) + "\n"
    at = ["--config", str(config)]
    added = CliRunner().invoke(root, ["watch", "add", *at], input=typed)
    assert added.exit_code == 0, added.output
    assert "add the full date of birth" in " ".join(added.output.split())
    (found,) = json.loads(_run("watch", "list", "--json", *at).output)
    assert (found["state"], found["case_number"]) == ("active", "50A-NH-1")
    shown = json.loads(_run("watch", "show", "Heron", "--json", *at).output)
    assert shown["stated_by"] == "reyes"
    one, two = shown["subjects"]
    assert [each["value"] for each in one["identifiers"]] == [
        "203-555-0142",
        "203-555-0143",
        "AB12345",
    ]
    assert one["names"][0]["surname"] == "Quillfeather"
    assert [each["kind"] for each in two["identifiers"]] == ["phone", "social_handle"]
    panel = _run("watch", "show", "Heron", *at).output
    assert "stated by reyes" in panel
    assert "born 1980-01-02" in panel
