"""Commands of people, tokens, keys and the audit log."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foreshock.cli.app import _load_commands, app
from foreshock_models.errors import ConfigError, DataError, StateError, StoreError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    for name in ("FORESHOCK_STORE_URL", "ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    _load_commands()
    return tmp_path


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_a_person_is_added_listed_given_roles_disabled_and_enabled() -> None:
    password = run("users", "add", "boss", "--role", "admin").split()[-1]
    assert len(password) >= 20
    run("users", "add", "Anna", "--role", "operator", "--jobs", "web-*")
    run("users", "roles", "anna", "editor:web-*", "viewer")
    run("users", "disable", "anna")
    found = {person["name"]: person for person in json.loads(run("users", "list", "--json"))}
    assert found["anna"]["roles"] == [{"role": "editor", "jobs": "web-*"}, {"role": "viewer", "jobs": "*"}]
    assert found["anna"]["disabled_ms"]
    run("users", "enable", "anna")
    assert run("users", "reset", "anna").split()[-1] != password
    assert "web-*" in run("users", "list")
    with pytest.raises(StateError, match="administer"):
        run("users", "roles", "boss", "viewer")
    with pytest.raises(StateError, match="already"):
        run("users", "add", "anna")
    with pytest.raises(ConfigError, match="no role 'amdin'"):
        run("users", "roles", "anna", "amdin")
    with pytest.raises(StoreError, match="no person 'ana'"):
        run("users", "disable", "ana")


def test_a_token_is_made_listed_and_revoked() -> None:
    token = run("tokens", "make", "ci", "--scope", "scores:create", "--lifetime", "30d").split()[-1]
    assert token.startswith("fsk_")
    (found,) = json.loads(run("tokens", "list", "--json"))
    assert (found["name"], found["scopes"]) == ("ci", ["scores:create"])
    assert token not in run("tokens", "list", "--json") + run("tokens", "list")
    run("tokens", "revoke", found["id"][:5])
    with pytest.raises(StateError, match="revoked already"):
        run("tokens", "revoke", found["id"])


def test_what_commands_do_is_in_the_audit_log_as_the_user_of_this_machine(tmp_path: Path) -> None:
    import getpass

    run("users", "add", "anna")
    (entry,) = json.loads(run("audit", "list", "--json"))
    assert (entry["who"], entry["kind"], entry["act"], entry["subject"]) == (
        getpass.getuser(), "local", "users:add", "anna",
    )  # fmt: skip
    assert "none changed or removed" in run("audit", "verify")
    assert json.loads(run("audit", "prove", "0"))["checkpoint"]["size"] == 1
    run("audit", "export", "-o", str(tmp_path / "log.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert (lines[0]["act"], len(lines)) == ("users:add", 4)
    assert "users:add" in run("audit", "list")
    run("audit", "erase", "--older", "1d")


def test_an_audit_log_that_was_cut_off_is_an_error_that_says_so(home: Path) -> None:
    import sqlite3

    run("users", "add", "anna")
    run("users", "add", "ben")
    with sqlite3.connect(home / "foreshock.db") as c:
        c.execute("DROP TRIGGER audit_no_delete")
        c.execute("DELETE FROM audit WHERE seq = 1")
    c.close()
    with pytest.raises(StoreError, match="removed or changed"):
        run("audit", "verify")


def test_with_the_profile_sox_commands_that_only_read_are_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    run("users", "list")
    assert json.loads(run("audit", "list", "--json")) == []
    monkeypatch.setenv("FORESHOCK_AUDIT", "sox")
    run("users", "list")
    entry = json.loads(run("audit", "list", "--json"))[-1]
    assert (entry["act"], entry["subject"].split(" ")[-2:]) == ("commands:run", ["users", "list"])
    assert entry["kind"] == "local"
    with pytest.raises(StateError, match="kept for seven years"):
        run("audit", "erase", "--older", "1d")


def test_with_the_profile_gdpr_people_give_way_to_pseudonyms_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from foreshock.runtime.audit_retention import pseudonymise_now
    from foreshock.settings import load_settings

    run("users", "add", "anna")
    monkeypatch.setenv("FORESHOCK_AUDIT", "gdpr")
    assert pseudonymise_now(load_settings()) == 0
    monkeypatch.setenv("FORESHOCK_AUDIT_PSEUDONYMS", "1ms")
    assert pseudonymise_now(load_settings()) >= 1
    text = run("audit", "list", "--json", "--act", "users")
    (entry,) = json.loads(text)
    assert (entry["who"], entry["pseudonym"][:2]) == (None, "p-")
    assert "anna" not in text
    assert "none changed or removed" in run("audit", "verify")
    assert "destroyed" in run("audit", "forget")


def test_an_audit_export_is_sealed_for_a_recipient_who_alone_opens_it(home: Path) -> None:
    run("keys", "recipient", str(home / "auditor"))
    run("users", "add", "anna")
    run("audit", "export", "-o", str(home / "sealed"), "--seal", str(home / "auditor.pub"))
    assert b"anna" not in (home / "sealed").read_bytes()
    run("keys", "open", str(home / "sealed"), "--key", str(home / "auditor"), "-o", str(home / "opened"))
    run("audit", "export", "-o", str(home / "plain"))
    assert (home / "opened").read_bytes() == (home / "plain").read_bytes()
    assert stat.S_IMODE((home / "opened").stat().st_mode) == 0o600


def test_a_backup_is_sealed_and_opened_and_a_damaged_one_is_not_written(home: Path) -> None:
    run("users", "add", "anna")
    run("keys", "recipient", str(home / "key"))
    (home / "backup.tar").write_bytes(b"a backup" * 1000)
    run("keys", "seal", str(home / "backup.tar"), "--to", str(home / "key.pub"), "-o", str(home / "backup"))
    run("keys", "open", str(home / "backup"), "--key", str(home / "key"), "-o", str(home / "again.tar"))
    assert (home / "again.tar").read_bytes() == (home / "backup.tar").read_bytes()
    (home / "backup").write_bytes((home / "backup").read_bytes()[:-1])
    with pytest.raises(DataError, match="its end is missing"):
        run("keys", "open", str(home / "backup"), "--key", str(home / "key"), "-o", str(home / "never.db"))
    assert not (home / "never.db").exists()


def test_keys_rotate_and_everything_still_opens(home: Path) -> None:
    run("users", "add", "anna")
    (before,) = json.loads(run("keys", "list", "--json"))
    assert before == {"id": before["id"], "current": True, "at_hand": True, "sealed": 2}
    assert "2 values" in run("keys", "rotate")
    (after,) = json.loads(run("keys", "list", "--json"))
    assert (after["id"] != before["id"], after["sealed"]) == (True, 2)
    run("users", "add", "ben")
    run("keys", "rotate", "--keep-old", "--signing")
    run("users", "add", "carl")
    assert len(json.loads(run("keys", "list", "--json"))) == 2
    assert "none changed or removed" in run("audit", "verify")
    assert stat.S_IMODE((home / "encryption-keys").stat().st_mode) == 0o600


def test_without_the_key_that_sealed_nothing_opens_and_that_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("users", "add", "anna")
    monkeypatch.setenv("ENCRYPTION_KEY", "A" * 43)
    with pytest.raises(StoreError, match="sealed by a key that is not at hand"):
        run("users", "add", "ben")
