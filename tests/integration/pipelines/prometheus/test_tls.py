from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.servers import servers
from tests.servers.certificates import certificate

from foreshock_models.errors import SourceUnavailable
from foreshock_pipelines.jobfile import SourceConfig
from foreshock_pipelines.prometheus.client import PrometheusClient
from foreshock_pipelines.prometheus.decode import decode_instant

pytestmark = pytest.mark.prometheus

PASSWORD, HASH = "secret", "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """server.pem, client.pem and other.pem, with their keys, and the password."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("server", "client", "other"):
        certificate(folder, name)
    (folder / "password").write_text(f"{PASSWORD}\n")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A Prometheus that wants TLS, a client certificate and a password."""
    (folder / "web.yml").write_text(
        f"tls_server_config: {{cert_file: {folder}/server.pem, key_file: {folder}/server.key, "
        f"client_auth_type: RequireAndVerifyClientCert, client_ca_file: {folder}/client.pem}}\n"
        f"basic_auth_users: {{someone: '{HASH}'}}\n"
    )
    trust = ssl.create_default_context(cafile=folder / "server.pem")
    trust.load_cert_chain(folder / "client.pem", folder / "client.key")
    args = [f"--web.config.file={folder}/web.yml"]
    with (
        httpx.Client(verify=trust, auth=("someone", PASSWORD)) as client,
        servers.prometheus(folder / "prometheus", args=args, client=client) as url,
    ):
        yield url


def ask(url: str, folder: Path, tls: dict[str, Any] | None = None, **keys: Any) -> str:
    client = {"cert_file": folder / "client.pem", "key_file": folder / "client.key"}
    login = {"basic_auth": {"username": "someone", "password_file": folder / "password"}}
    config = {"prometheus": url, "retries": 0, **login, **keys}
    config["tls"] = {"ca_file": folder / "server.pem", **client, **(tls or {})}
    body = PrometheusClient(SourceConfig.model_validate(config)).query("vector(1)").body
    return str(decode_instant(body)[0]["value"][1])


def test_tls_with_a_client_certificate_and_a_password_of_a_file(url: str, folder: Path) -> None:
    assert ask(url, folder) == "1"


def test_insecure_skip_verify_takes_any_certificate_without_a_warning(url: str, folder: Path) -> None:
    assert ask(url, folder, {"ca_file": folder / "other.pem", "insecure_skip_verify": True}) == "1"


def test_the_wrong_ca_is_refused_at_once_and_named(url: str, folder: Path) -> None:
    with pytest.raises(SourceUnavailable, match=rf"{url}: TLS failed: .*certificate verify failed"):
        ask(url, folder, {"ca_file": folder / "other.pem"}, retries=5)


def test_a_ca_bundle_of_the_environment_does_not_replace_the_configured_one(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "other.pem"))
    assert ask(url, folder) == "1"


def test_a_ca_file_that_does_not_exist_is_named(url: str, folder: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"absent\.pem"):
        ask(url, folder, {"ca_file": folder / "absent.pem"})


def test_without_a_client_certificate_the_server_does_not_answer(url: str, folder: Path) -> None:
    with pytest.raises(SourceUnavailable, match=url):
        ask(url, folder, {"cert_file": None, "key_file": None})


def test_the_wrong_password_is_refused_with_what_to_check(url: str, folder: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"access denied: HTTP 401: .*check bearer_token_file"):
        ask(url, folder, basic_auth={"username": "someone", "password": "wrong"})
