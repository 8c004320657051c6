"""Secrets of Vault in job files, against a real OpenBao."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.servers.servers import free_port
from tests.servers.vault import ROLE_TOKEN, OpenBao, openbao, token_review

from foreshock_models.errors import ConfigError, VaultAway, VaultError
from foreshock_pipelines.jobfile import parse_job
from foreshock_pipelines.jobfile.variables import expand
from foreshock_pipelines.jobfile.vault import Vault, VaultSettings

JOB = """
name: web
source:
  prometheus: http://localhost:9090
  authorization: {credentials: "${vault:team/prometheus#token}"}
queries: {cpu: up}
entity: [instance]
"""


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def secret(bao: OpenBao, monkeypatch: pytest.MonkeyPatch) -> None:
    bao.put("team/prometheus", token="hunter2 of prometheus", port="9090")
    monkeypatch.setenv("VAULT_ADDR", bao.url)
    monkeypatch.setenv("VAULT_TOKEN", bao.token())
    monkeypatch.setattr("foreshock_pipelines.jobfile.vault.client.PAUSE", 0.01)


def settings(bao: OpenBao, **more: object) -> VaultSettings:
    values = {"addr": bao.url, "token": SecretStr(bao.token()), **more}
    return VaultSettings.model_validate(values)


def test_a_job_file_refers_to_a_secret_in_vault() -> None:
    job = parse_job(JOB)
    assert job.source.authorization is not None
    assert job.source.authorization.credentials.get_secret_value() == "hunter2 of prometheus"
    assert "hunter2" not in repr(job)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("team/prometheus", "write path and key"),
        ("team/prometheus#", "write path and key"),
        ("#token", "no path of a secret"),
        ("../sys/mounts#x", "no path of a secret"),
        ("team/../prometheus#token", "no path of a secret"),
        ("team//prometheus#token", "no path of a secret"),
        ("team/prometheus?version=1#token", "no path of a secret"),
        ("team/prometheus#tokne", "no key 'tokne'; did you mean 'token'"),
        ("team/grafana#token", "has no team/grafana"),
    ],
)
def test_a_wrong_reference_is_an_error_that_names_the_key_of_the_file(reference: str, says: str) -> None:
    with pytest.raises(ConfigError, match=f"job: source.url: .*{says}") as raised:
        expand({"source": {"url": f"${{vault:{reference}}}"}}, {})
    assert "hunter2" not in str(raised.value)


def test_the_policy_of_the_token_decides_what_can_be_read(bao: OpenBao) -> None:
    bao.client.sys.create_or_update_policy("other", 'path "secret/data/other" { capabilities = ["read"] }')
    token = bao.client.auth.token.create(policies=["other"])["auth"]["client_token"]
    with pytest.raises(VaultError, match=r"refuses team/prometheus: .*permission denied"):
        Vault(settings(bao, token=SecretStr(token))).read("team/prometheus", "token")


def test_app_role_and_kubernetes_sign_in(bao: OpenBao, tmp_path: Path) -> None:
    role, secret = bao.app_role()
    (tmp_path / "secret-id").write_text(f"{secret}\n")
    by_role = settings(bao, token=None, role_id=role, secret_id_file=tmp_path / "secret-id")
    assert Vault(by_role).read("team/prometheus", "port") == "9090"
    wrong = settings(bao, token=None, role_id=role, secret_id=SecretStr("wrong secret id"))
    with pytest.raises(VaultError, match="refuses") as raised:
        Vault(wrong).read("team/prometheus", "port")
    assert "wrong secret id" not in str(raised.value)

    with token_review() as kubernetes:
        account = tmp_path / "token"
        pod = settings(
            bao, token=None, kubernetes_role=bao.kubernetes(kubernetes, tmp_path), kubernetes_token_file=account
        )
        account.write_text(ROLE_TOKEN)
        assert Vault(pod).read("team/prometheus", "port") == "9090"
        account.write_text("of somebody else")
        with pytest.raises(VaultError, match="refuses"):
            Vault(pod).read("team/prometheus", "port")


def test_a_login_that_was_revoked_is_followed_by_another(bao: OpenBao, clock: Clock) -> None:
    role, secret = bao.app_role()
    found = Vault(settings(bao, token=None, role_id=role, secret_id=SecretStr(secret)), clock)
    assert found.read("team/prometheus", "port") == "9090"
    assert found._client is not None
    bao.client.auth.token.revoke(found._client.token)
    clock.now += 61
    assert found.read("team/prometheus", "port") == "9090"


def test_a_token_is_renewed_before_its_end(bao: OpenBao, clock: Clock) -> None:
    token = bao.token(ttl="100s", explicit_max_ttl="1h")
    found = Vault(settings(bao, token=SecretStr(token)), clock)
    found.read("team/prometheus", "port")
    time.sleep(2.2)
    assert bao.client.auth.token.lookup(token)["data"]["ttl"] < 99
    clock.now += 70
    found.read("team/prometheus", "port")
    assert bao.client.auth.token.lookup(token)["data"]["ttl"] >= 99


def test_a_changed_secret_is_read_within_a_minute(bao: OpenBao, clock: Clock) -> None:
    found = Vault(settings(bao), clock)
    assert found.read("team/prometheus", "token") == "hunter2 of prometheus"
    bao.put("team/prometheus", token="another")
    clock.now += 59
    assert found.read("team/prometheus", "token") == "hunter2 of prometheus"
    clock.now += 2
    assert found.read("team/prometheus", "token") == "another"


def test_while_vault_is_away_what_it_said_last_stays_in_use_for_a_day(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with openbao(tmp_path, port) as bao:
        bao.put("team/prometheus", token="hunter2 of prometheus")
        found = Vault(settings(bao, keep=timedelta(hours=24)), clock)
        found.read("team/prometheus", "token")
    with caplog.at_level(logging.WARNING, "vault"):
        for _ in range(20):
            clock.now += 3600
            assert found.read("team/prometheus", "token") == "hunter2 of prometheus"
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["Vault is away"]
    assert "86400 s" in caplog.text
    assert "hunter2" not in caplog.text
    with pytest.raises(VaultAway, match="gives no answer: Connection refused"):
        found.read("team/other", "token")
    clock.now = 24 * 3600 + 1
    with pytest.raises(VaultAway, match="older than VAULT_KEEP"):
        found.read("team/prometheus", "token")
    clock.now += 61
    with openbao(tmp_path, port), pytest.raises(VaultError, match="refuses"):  # one that knows no such token
        found.read("team/prometheus", "token")


def test_what_vault_refuses_is_forgotten_at_once(bao: OpenBao, clock: Clock) -> None:
    token = bao.token()
    found = Vault(settings(bao, token=SecretStr(token)), clock)
    found.read("team/prometheus", "token")
    bao.client.auth.token.revoke(token)
    clock.now += 61
    for _ in range(2):
        with pytest.raises(VaultError, match="refuses"):
            found.read("team/prometheus", "token")


def test_a_sealed_vault_is_away(tmp_path: Path, clock: Clock) -> None:
    with openbao(tmp_path) as bao:
        bao.put("team/prometheus", token="hunter2 of prometheus")
        found = Vault(settings(bao), clock)
        found.read("team/prometheus", "token")
        bao.client.sys.seal()
        clock.now += 61
        assert found.read("team/prometheus", "token") == "hunter2 of prometheus"
        with pytest.raises(VaultAway, match="Vault is sealed"):
            found.read("team/other", "token")


def test_at_a_start_a_vault_that_is_away_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match=r"job: source\.authorization\.credentials: .*no answer"):
        parse_job(JOB)
    monkeypatch.delenv("VAULT_ADDR")
    with pytest.raises(ConfigError, match="VAULT_ADDR is not set"):
        parse_job(JOB)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"VAULT_ADDR": "http://vault.example:8200"}, "VAULT_ADDR: .*in clear"),
        ({"VAULT_ADDR": "vault.example:8200"}, "VAULT_ADDR: must be a URL"),
        ({"VAULT_ADDR": "https://ada:pass@vault.example"}, "VAULT_ADDR: holds more"),
        ({"VAULT_TOKEN": ""}, "no way to sign in"),
        ({"VAULT_ROLE_ID": "x"}, "several ways to sign in"),
        ({"VAULT_TOKEN_FILE": "/nowhere/token"}, "VAULT_TOKEN_FILE: /nowhere/token: cannot be read: No such file"),
        ({"VAULT_KEEP": "soon"}, "VAULT_KEEP: .*not a duration"),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_it(
    variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=says) as raised:
        parse_job(JOB)
    assert "pass" not in str(raised.value)
