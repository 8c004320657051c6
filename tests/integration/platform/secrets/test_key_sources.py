"""Keys that seal, kept in Vault or wrapped by it, against a real OpenBao."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.servers.servers import free_port
from tests.servers.vault import OpenBao

from foreshock.secrets import open_keyring
from foreshock.secrets.key_file import KeyFile
from foreshock_models.errors import ConfigError, VaultError

KEY, OLDER = (base64.b64encode(bytes([i]) * 32).decode() for i in (1, 2))


@pytest.fixture(autouse=True)
def login(bao: OpenBao, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", bao.url)
    monkeypatch.setenv("VAULT_TOKEN", bao.token())


def test_the_keys_are_in_a_file_or_in_vault_where_encryption_key_refers_to_one(
    bao: OpenBao, tmp_path: Path
) -> None:
    expected = open_keyring(tmp_path, f"{KEY},{OLDER}")
    (tmp_path / "key").write_text(f"{KEY}\n{OLDER}\n")
    bao.put("foreshock/sealing", keys=f"{KEY},{OLDER}")
    assert open_keyring(tmp_path, f"file:{tmp_path}/key") == expected
    assert open_keyring(tmp_path, "vault:foreshock/sealing#keys") == expected
    assert open_keyring(tmp_path, "${vault:foreshock/sealing#keys}") == expected
    bao.put("foreshock/loop", keys="vault:foreshock/loop#keys")
    with pytest.raises(ConfigError, match="refers to something else"):
        open_keyring(tmp_path, "vault:foreshock/loop#keys")
    with pytest.raises(ConfigError, match="no such file"):
        open_keyring(tmp_path, f"file:{tmp_path}/none")


def test_transit_wraps_the_keys_of_the_file_and_they_rotate(bao: OpenBao, tmp_path: Path) -> None:
    plain = open_keyring(tmp_path)
    file = tmp_path / "encryption-keys"
    before = file.read_text()
    assert open_keyring(tmp_path, "transit:foreshock") == plain
    assert before.strip() not in file.read_text()
    assert file.read_text().startswith("vault:v")
    both = KeyFile(tmp_path, "foreshock").rotate()
    assert len(both.keys) == 2
    bao.client.secrets.transit.rotate_key("foreshock")
    newest = bao.client.secrets.transit.read_key("foreshock")["data"]["latest_version"]
    KeyFile(tmp_path, "foreshock").keep(both.current)
    assert file.read_text().startswith(f"vault:v{newest}:")
    assert open_keyring(tmp_path, "transit:foreshock").current == both.current
    with pytest.raises(ConfigError, match="wrapped by Vault; set ENCRYPTION_KEY"):
        open_keyring(tmp_path)
    with pytest.raises(VaultError, match="refuses transit key other"):
        open_keyring(tmp_path, "transit:other")


def test_without_vault_the_wrapped_keys_do_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_keyring(tmp_path, "transit:foreshock")
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("foreshock_pipelines.jobfile.vault.client.PAUSE", 0.01)
    with pytest.raises(VaultError, match="gives no answer"):
        open_keyring(tmp_path, "transit:foreshock")
