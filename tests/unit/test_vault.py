from __future__ import annotations

import stat
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from consumers.cells import Cells
from consumers.vault import SIGNERS, Vault
from consumers.vault_keys import generate_key, load_key
from silenthit.errors import SealError, SettingsError
from tests.partner_room import Room, john, watch_on

KEY = bytes(range(32))
PRIVATE = (
    "quillfeather",
    "oxenbrook",
    "blue heron",
    "50a-nh",
    "reyes",
    "2035550142",
    "203-555",
    "219-09",
    "1980-01-02",
    "tanglewood",
    "tail light",
    "hartford",
)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room.make(tmp_path)


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.name != "vault.key")


def test_the_files_of_a_vault_hold_no_private_text(room: Room, tmp_path: Path) -> None:
    room.add(watch_on(john(), label="Blue Heron 1"))
    room.receive(room.alert(room.touch(), room.registrations()[0]))
    secrets, tokens = room.secrets(), room.registrations()[0].tokens
    held = _bytes_of(tmp_path)
    room.vault.close()
    held += _bytes_of(tmp_path)
    lowered = held.lower()
    for word in PRIVATE:
        assert word.encode() not in lowered, word
        assert word.encode("utf-16-le") not in lowered, word
    for token, secret in secrets.items():
        assert token not in held
        assert secret not in held
    assert tokens not in held


def test_every_file_of_a_vault_is_its_owners_alone(room: Room, tmp_path: Path) -> None:
    room.add()
    with room.vault.alone():
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["vault.sqlite"] == 0o600
    assert set(modes.values()) == {0o600}, modes


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    generate_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_key(tmp_path / "key")


def test_a_missing_or_short_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="partner init"):
        load_key(tmp_path / "key")
    generate_key(tmp_path / "key")
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(SettingsError, match="got 5"):
        load_key(tmp_path / "key")


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    generate_key(tmp_path / "key")
    with pytest.raises(FileExistsError):
        generate_key(tmp_path / "key")


def test_another_vaults_key_is_refused_at_opening(room: Room, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the key that belongs to this vault"):
        Vault.open(tmp_path / "vault.sqlite", bytes(32))


def test_a_missing_vault_is_not_made_by_accident(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="partner init"):
        Vault.open(tmp_path / "elsewhere.sqlite", KEY)
    assert not (tmp_path / "elsewhere.sqlite").exists()


def test_a_cell_moved_to_another_row_does_not_open(room: Room, tmp_path: Path) -> None:
    with room.vault.write() as into:
        into.put(SIGNERS, b"one", {"private": b"first"})
        into.put(SIGNERS, b"two", {"private": b"second"})
    engine = create_engine(f"sqlite:///{tmp_path / 'vault.sqlite'}")
    with engine.begin() as connection:
        connection.execute(
            text(
                "update signers set private = (select private from signers where id = :a)"
                " where id = :b"
            ),
            {"a": b"one", "b": b"two"},
        )
    engine.dispose()
    with room.vault.read() as rows:
        assert (rows.get(SIGNERS, b"one") or {})["private"] == b"first"
        with pytest.raises(SealError, match=r"signers\.private"):
            rows.get(SIGNERS, b"two")


def test_a_transaction_that_fails_changes_nothing(room: Room) -> None:
    class BreakError(Exception):
        pass

    def change_and_break() -> None:
        with room.vault.write() as into:
            into.put(SIGNERS, b"one", {"private": b"first"})
            into.move_offset("alerts.fbi-ct", 0, 7)
            raise BreakError

    with pytest.raises(BreakError):
        change_and_break()
    with room.vault.read() as rows:
        assert rows.get(SIGNERS, b"one") is None
        assert rows.offsets() == {}


def test_neither_key_nor_plaintext_shows_in_a_repr(room: Room) -> None:
    assert KEY.hex() not in repr(Cells(KEY))
    assert "Quillfeather" not in repr(watch_on())
    assert "Quillfeather" not in str(watch_on())
