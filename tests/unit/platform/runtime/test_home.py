"""The home of an installation, and who may enter it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from foreshock.runtime.home import load_or_create_secret, open_home, private_folder
from foreshock.settings import load_settings
from foreshock.store import open_store
from foreshock_models.errors import ConfigError, InstallationError, StoreError

ODD = ["feature%2Fmain", "q?x", "a#b", "a b", "ünï", "x:y@z", "%", "[x]*", "back\\slash", "%(here)s", "a&mode=ro"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", ODD)
def test_the_store_is_under_the_home_whatever_its_characters(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    store = open_store(load_settings(home=home).store)
    store.close()
    assert (home / "foreshock.db").is_file()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_nobody_else_reads_a_new_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    open_home(home)
    store = open_store(load_settings(home=home).store)
    with store.begin():
        assert {mode(file) for file in home.glob("foreshock.db*")} == {0o600}
    store.close()
    assert mode(home) == mode(home / "models") == 0o700


def test_a_home_and_a_database_that_were_open_to_others_are_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    open_store(load_settings(home=home).store).close()
    (home / "foreshock.db").chmod(0o644)
    open_home(home)
    open_store(load_settings(home=home).store).close()
    assert (mode(home), mode(home / "foreshock.db")) == (0o700, 0o600)


def test_a_folder_that_holds_other_things_keeps_its_mode_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").touch()
    tmp_path.chmod(0o755)
    open_home(tmp_path)
    assert mode(tmp_path) == 0o755
    assert "others can enter the home" in "".join(capsys.readouterr())


def test_a_home_that_cannot_be_made_is_one_message_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InstallationError, match=r"^FORESHOCK_HOME: .*Not a directory"):
        open_home(tmp_path / "file" / "home")


def test_a_database_that_cannot_be_made_is_one_message_that_names_the_settings(tmp_path: Path) -> None:
    (tmp_path / "foreshock.db").mkdir()
    with pytest.raises(StoreError, match=r"foreshock\.db: .*Is a directory.*FORESHOCK_HOME"):
        open_store(load_settings(home=tmp_path).store)


def test_a_relative_home_is_the_same_for_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORESHOCK_HOME", "here")
    assert load_settings().home == tmp_path / "here"


@pytest.mark.parametrize("value", ["", "relative"])
def test_without_home_variables_the_home_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name in ("FORESHOCK_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", value)
    assert load_settings().home == Path(os.path.expanduser("~")) / ".local" / "share" / "foreshock"


def test_a_user_without_a_home_directory_is_told_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORESHOCK_HOME", "HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    with pytest.raises(ConfigError, match="FORESHOCK_HOME: must be set"):
        load_settings()


def test_a_secret_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    (first, made), (second, again) = load_or_create_secret(path), load_or_create_secret(path)
    assert first == second and (made, again) == (True, False) and len(first) > 30
    assert mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["token"]


def test_a_secret_whose_file_is_empty_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    secret, made = load_or_create_secret(tmp_path / "token")
    assert made and secret


def test_a_folder_for_sockets_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    private_folder(tmp_path).chmod(0o755)
    with pytest.raises(InstallationError, match="only this user can enter"):
        private_folder(tmp_path)
