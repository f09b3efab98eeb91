"""Keeping a vault: its key, its upgrades, its backups, and moving it, by command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner, Result
from keyring.backend import KeyringBackend
from sqlalchemy import text

from consumers.cells import Cells
from consumers.vault import Vault
from consumers.vault.log import check
from consumers.vault.place import File, Place, Server
from consumers.vault.tables import HEAD
from consumers.vault.upgrade import _step_by_step
from consumers.watch_list import listed, watch_named
from silenthit.bus.clients import KafkaSettings
from silenthit.cli import root
from silenthit.errors import SettingsError
from tests.partner_room import john, watch_on

KEY = bytes(range(32))


def _run(*words: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(root, list(map(str, words)))
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "fbi" / "vault.sqlite"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | Path]:
    """What `partner init` needs."""
    monkeypatch.chdir(tmp_path)
    _run("keyholder", "generate", "epoch1.json", "--epoch", "1")
    return ["--name", "fbi", "--bootstrap", "127.0.0.1:1", "--local-key", "epoch1.json"]


def _old_vault(where: Path | str) -> None:
    """Make a vault as silenthit made it before schemas had numbers, with two watches in it."""
    place: Place = File(where, create=True) if isinstance(where, Path) else Server(where)
    cells = Cells(KEY)
    with place.engine.connect() as connection, connection.begin():
        _step_by_step(connection, "", until="0001")
        connection.execute(text("DROP TABLE alembic_version"))
        for n, label in enumerate(("Heron", "Egret")):
            watch_id = bytes([n]) * 16
            plain = watch_on(john(), label=label, stated_by="").model_dump_json(
                exclude={"stated_by", "page_from", "min_score", "handling", "owner", "backup"}
            )
            connection.execute(
                text("INSERT INTO watches (id, private, private_label, created_at, expires_at)"
                     " VALUES (:id, :private, :label, :at, :until)"),
                {"id": watch_id, "at": n, "until": 10**13,
                 "private": cells.close("watches", "private", watch_id, plain.encode()),
                 "label": cells.close("watches", "private_label", watch_id, label.encode())},
            )  # fmt: skip
            event = b'{"who":"reyes","text":""}'
            connection.execute(
                text("INSERT INTO events (id, about, at, action, private)"
                     " VALUES (:id, :about, :at, 'added', :private)"),
                {"id": watch_id, "about": watch_id, "at": n,
                 "private": cells.close("events", "private", watch_id, event)},
            )  # fmt: skip
    place.engine.dispose()


def test_an_older_vault_is_refused_with_what_to_do_and_upgraded_whole(
    where: Path | str, prepared: list[str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _old_vault(where)
    with pytest.raises(SettingsError, match="partner upgrade"):
        Vault.open(where, KEY)
    config = tmp_path / "fbi" / "partner.toml"
    config.parent.mkdir(exist_ok=True)
    at = f"vault_url = {json.dumps(where)}" if isinstance(where, str) else ""
    config.write_text(
        f'name = "fbi"\n{at}\nvault_key_env = "VAULT_KEY"\n'
        '[bus.partner]\nbootstrap_servers = "127.0.0.1:1"\n[blinding]\n'
    )
    monkeypatch.setenv("VAULT_KEY", KEY.hex())
    refused = _run("watch", "list", "--config", config, code=3)
    assert "partner upgrade" in refused.output
    assert f"of schema {HEAD}, it was 0001" in _run("partner", "upgrade", "--config", config).output
    assert f"of schema {HEAD}" in _run("partner", "upgrade", "--config", config).output
    vault = Vault.open(where, KEY)
    assert {each.watch.label for each in listed(vault, search="quillfeather")} == {"Heron", "Egret"}
    assert watch_named(vault, "heron").approved_at is not None
    with vault.read() as rows:
        entries = list(rows.entries())
        check(rows.log_key, entries)
    assert [entry.action for entry, _ in entries] == ["added", "added"]
    vault.close()


def test_a_newer_vault_asks_for_a_newer_program(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path / "vault.sqlite", KEY, create=True)
    with vault.place.engine.connect() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    vault.close()
    with pytest.raises(SettingsError, match="install the newer"):
        Vault.open(tmp_path / "vault.sqlite", KEY)


class _Keyring(KeyringBackend):
    """A keyring in memory, in place of the desktop's."""

    priority = 1.0  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]


@pytest.fixture
def desktop() -> Iterator[_Keyring]:
    before = keyring.get_keyring()
    made = _Keyring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_the_key_may_lie_in_the_keyring_of_the_desktop(
    prepared: list[str | Path], desktop: _Keyring
) -> None:
    _run("partner", "init", "fbi", *prepared, "--vault-key-keyring", "fbi")
    assert not Path("fbi/keys/vault.key").exists()
    assert len(bytes.fromhex(desktop.held["silenthit", "fbi"])) == 32
    config = ["--config", "fbi/partner.toml"]
    assert "No watches" in _run("watch", "list", *config).output
    del desktop.held["silenthit", "fbi"]
    assert "unlock the keyring" in _run("watch", "list", *config, code=3).output


def test_the_key_may_lie_in_the_environment(
    prepared: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["partner", "init", "fbi", *prepared, "--vault-key-env", "VAULT_KEY"]
    monkeypatch.delenv("VAULT_KEY", raising=False)
    assert "openssl rand -hex 32" in _run(*words, code=3).output
    monkeypatch.setenv("VAULT_KEY", KEY.hex())
    _run(*words)
    assert not Path("fbi/keys/vault.key").exists()
    assert "No watches" in _run("watch", "list", "--config", "fbi/partner.toml").output
    for wrong in ("", "abc", KEY.hex()[2:]):
        monkeypatch.setenv("VAULT_KEY", wrong)
        assert "VAULT_KEY" in _run("watch", "list", "--config", "fbi/partner.toml", code=3).output


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("*") if path.is_file())


@pytest.mark.postgresql
def test_a_vault_moves_to_a_shared_database_and_back_by_backups_that_say_nothing(
    prepared: list[str | Path], embedded_broker: KafkaSettings, postgres_url: str, tmp_path: Path
) -> None:
    prepared[3] = embedded_broker.bootstrap_servers
    _run("partner", "init", "fbi", *prepared, "--user", "reyes")
    about = ["--label", "Heron", "--legal-basis", "affidavit of SA Reyes", "--surname",
             "Quillfeather", "--given", "John", "--phone", "203-555-0142",
             "--birth-date", "1980-01-02"]  # fmt: skip
    _run("watch", "add", *about, "--config", "fbi/partner.toml")
    _run("partner", "backup", "copies/one.sqlite", "--config", "fbi/partner.toml")
    held = _bytes_of(tmp_path / "fbi") + _bytes_of(tmp_path / "copies")
    for word in (b"Quillfeather", b"quillfeather", b"Heron", b"2035550142", b"affidavit", b"1980"):
        assert word not in held, word
    again = _run("partner", "backup", "copies/one.sqlite", "--config", "fbi/partner.toml", code=2)
    assert "name another" in again.output

    shared = Path("squad")
    (shared / "keys" / "users").mkdir(parents=True)
    for name in ("vault.key", "users/reyes.key"):
        (shared / "keys" / name).write_bytes((Path("fbi/keys") / name).read_bytes())
        (shared / "keys" / name).chmod(0o600)
    text = Path("fbi/partner.toml").read_text("utf-8")
    moved = text.replace('vault = "vault.sqlite"', f"vault_url = {json.dumps(postgres_url)}")
    (shared / "partner.toml").write_text(moved, "utf-8")
    config = ["--config", "squad/partner.toml"]
    assert "rows restored" in _run("partner", "restore", "copies/one.sqlite", *config).output
    refused = _run("partner", "restore", "copies/one.sqlite", *config, code=5)
    assert "empty vault" in refused.output
    (found,) = json.loads(_run("watch", "list", "--json", *config).output)
    assert (found["label"], found["state"]) == ("Heron", "active")
    assert "The log is whole" in _run("partner", "audit", *config).output
    _run("partner", "backup", "copies/two.sqlite", *config)
    assert b"uillfeather" not in Path("copies/two.sqlite").read_bytes()


@pytest.mark.postgresql
def test_the_next_machine_of_a_squad_joins_the_vault(
    prepared: list[str | Path], postgres_url: str
) -> None:
    at = ["--vault-url", postgres_url]
    _run("partner", "init", "one", *prepared, *at, "--user", "reyes")
    _run("partner", "user", "add", "okafor", "--role", "analyst", "--new-key", "okafor.key",
         "--config", "one/partner.toml")  # fmt: skip
    stranger = _run("partner", "init", "two", *prepared, *at, "--user", "okafor", code=3)
    assert "the key that belongs to this vault" in stranger.output
    Path("two/keys/vault.key").write_bytes(Path("one/keys/vault.key").read_bytes())
    _run("partner", "init", "two", *prepared, *at, "--user", "okafor")
    listing = ["watch", "list", "--config", "two/partner.toml"]
    assert "No watches" in _run(*listing, "--key-file", "okafor.key").output
    assert "--key-file" in _run(*listing, code=5).output
