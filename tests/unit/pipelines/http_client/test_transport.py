"""TLS and proxies are those of the config, whatever the environment says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import pytest
from tests.servers.certificates import certificate, https
from tests.servers.faulty import Faulty

from foreshock_models.errors import HttpError
from foreshock_pipelines.http_client import HttpClient
from foreshock_pipelines.http_client.transport import proxies
from foreshock_pipelines.jobfile import HttpConfig

Start = Callable[..., Faulty]
VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name in ("server", "client", "other"):
        certificate(folder, name)
    certificate(folder, "named", "DNS:metrics.example")
    return folder


def ask(url: str, **tls: Any) -> int:
    return HttpClient(HttpConfig.model_validate({"tls": tls})).request("GET", url).status


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_ca_bundle_of_the_environment_does_not_replace_the_configured_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, certifi.where())
    with https(folder, "server") as url:
        assert ask(url, ca_file=folder / "server.pem") == 200
        assert ask(url, insecure_skip_verify=True) == 200


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_ca_bundle_of_the_environment_is_not_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(folder / "server.pem"))
    with https(folder, "server") as url:
        for tls in ({}, {"ca_file": folder / "other.pem"}):
            with pytest.raises(HttpError, match=r"TLS failed: .*certificate verify failed") as caught:
                ask(url, **tls)
            assert not caught.value.retriable


def test_the_certificates_of_the_system_are_not_trusted_beside_a_configured_ca(folder: Path) -> None:
    client = HttpClient(HttpConfig.model_validate({"tls": {"ca_file": folder / "server.pem"}}))
    with https(folder, "server") as url:
        client.request("GET", url)
        adapter: Any = client.session.get_adapter(url)
    assert len(adapter.poolmanager.connection_pool_kw["ssl_context"].get_ca_certs()) == 1


def test_a_client_certificate_is_shown(folder: Path) -> None:
    own = {"cert_file": folder / "client.pem", "key_file": folder / "client.key"}
    with https(folder, "server", client_ca="client") as url:
        assert ask(url, ca_file=folder / "server.pem", **own) == 200
        with pytest.raises(HttpError):
            ask(url, ca_file=folder / "server.pem")


def test_a_server_may_be_known_by_another_name(folder: Path) -> None:
    with https(folder, "named") as url:
        assert ask(url, ca_file=folder / "named.pem", server_name="metrics.example") == 200
        with pytest.raises(HttpError, match="TLS failed"):
            ask(url, ca_file=folder / "named.pem")
        assert ask(url, server_name="metrics.example", insecure_skip_verify=True) == 200


def test_a_ca_file_that_is_replaced_holds_at_once(folder: Path, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes((folder / "other.pem").read_bytes())
    client = HttpClient(HttpConfig.model_validate({"tls": {"ca_file": ca}}))
    with https(folder, "server") as url:
        with pytest.raises(HttpError):
            client.request("GET", url)
        ca.unlink()
        with pytest.raises(HttpError, match="No such file"):
            client.request("GET", url)
        ca.write_bytes((folder / "server.pem").read_bytes())
        assert client.request("GET", url).status == 200


@pytest.mark.parametrize(
    ("tls", "why"),
    [
        ({"ca_file": "/no/ca.pem"}, r"/no/ca\.pem: cannot read the CA certificates: No such file"),
        ({"ca_file": "/etc/hostname"}, "/etc/hostname: holds no CA certificates"),
        ({"ca_file": "/etc"}, "/etc: cannot read the CA certificates: Is a directory"),
        ({"cert_file": "/no/c.pem", "key_file": "/no/k.pem"}, r"/no/c\.pem: cannot read the client certificate"),
        ({"cert_file": "/etc/hostname", "key_file": "/etc/hostname"}, "no client certificate with its key"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(folder: Path, tls: dict[str, str], why: str) -> None:
    with pytest.raises(HttpError, match=why):
        ask("https://127.0.0.1:1", **tls)


def test_a_key_with_a_passphrase_is_refused_in_place_of_asking_for_it(folder: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_pem_private_key((folder / "client.key").read_bytes(), None)
    locked = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret"))
    (tmp_path / "locked.key").write_bytes(locked)
    with pytest.raises(HttpError, match="the key has a passphrase"):
        ask("https://127.0.0.1:1", cert_file=folder / "client.pem", key_file=tmp_path / "locked.key")


# -- proxies ---------------------------------------------------------------------------------------------
def test_a_proxy_of_the_environment_is_used_only_if_the_config_says_so(
    faulty: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = faulty(), faulty()
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    HttpClient(HttpConfig()).request("GET", server.url)
    assert (len(server.methods), len(proxy.methods)) == (1, 0)
    HttpClient(HttpConfig(proxy_from_environment=True)).request("GET", f"{server.url}/x")
    assert (len(server.methods), proxy.paths) == (1, [f"{server.url}/x"])


def test_the_proxy_of_the_config_is_used(faulty: Start) -> None:
    proxy = faulty()
    config = HttpConfig.model_validate({"proxy_url": proxy.url.replace("//", "//me:word@")})
    HttpClient(config).request("GET", "http://metrics.example/x")
    assert proxy.paths == ["http://metrics.example/x"]
    assert proxy.headers[0]["Proxy-Authorization"] == "Basic bWU6d29yZA=="


@pytest.mark.parametrize(
    ("url", "used"),
    [("http://a.example/", True), ("http://b.inside.example/", False), ("https://10.0.0.1:9090/", False)],
)
def test_hosts_of_no_proxy_are_reached_directly(url: str, used: bool) -> None:
    config = HttpConfig.model_validate({"proxy_url": "http://proxy:1", "no_proxy": "inside.example, 10.0.0.1"})
    assert bool(proxies(config, url)) == used
