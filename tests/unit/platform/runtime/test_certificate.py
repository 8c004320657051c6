"""The certificate and the key that an installation is given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from tests.fixtures.certificates import Authority

from foreshock.runtime.certificate import read_certificate
from foreshock.runtime.reach import check_reach, is_loopback
from foreshock.settings import Settings, load_settings
from foreshock_models.errors import ConfigError


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def settings(tmp_path: Path, certificate: Path, key: Path | None = None, **more: Any) -> Settings:
    return load_settings(home=tmp_path, tls_certificate=certificate, tls_key=key, **more)


def test_a_certificate_is_read_with_its_names_and_its_end(authority: Authority, tmp_path: Path) -> None:
    found = read_certificate(settings(tmp_path, *authority.issue(days=30)))
    assert found.names == ("localhost", "127.0.0.1") and found.issuer == "Test authority"
    assert 29.9 < found.days_left(datetime.now(UTC)) < 30


def test_certificate_and_key_may_be_in_one_file_that_only_its_owner_reads(
    authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue()
    both = tmp_path / "both.pem"
    both.write_bytes(b"# written by a tool\n\n" + key.read_bytes() + b"\n\n" + certificate.read_bytes())
    both.chmod(0o600)
    found = read_certificate(settings(tmp_path, both))
    assert found.pem == read_certificate(settings(tmp_path, certificate, key)).pem
    both.chmod(0o644)
    with pytest.raises(ConfigError, match=r"FORESHOCK_TLS_CERTIFICATE: others can read .* \(mode 644\): chmod 600"):
        read_certificate(settings(tmp_path, both))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666, 0o602, 0o660])
def test_a_key_that_others_can_use_is_refused_also_behind_a_link(
    authority: Authority, tmp_path: Path, mode: int
) -> None:
    certificate, key = authority.issue()
    key.chmod(mode)
    link = tmp_path / "link.key"
    link.symlink_to(key)
    for path in (key, link):
        with pytest.raises(ConfigError, match=f"FORESHOCK_TLS_KEY: others can read .*mode {mode:o}.*chmod 600"):
            read_certificate(settings(tmp_path, certificate, path))


def with_password(authority: Authority, tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, file = authority.issue(key=key)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")))
    return certificate, file


def damaged(authority: Authority, tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = authority.issue()
    text = certificate.read_text().splitlines()
    certificate.write_text("\n".join([*text[:3], *text[4:]]))
    return certificate, key


def behind_its_issuer(authority: Authority, tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = authority.issue()
    certificate.write_bytes(authority.file.read_bytes() + certificate.read_bytes())
    return certificate, key


def a_long_chain(authority: Authority, tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = authority.issue()
    certificate.write_bytes(certificate.read_bytes() + authority.file.read_bytes() * 30)
    return certificate, key


Make = Callable[[Authority, Path], tuple[Path, Path]]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda a, p: (p / "none.pem", p / "none.key"), "none.pem cannot be read: No such file"),
        (lambda a, p: (p, p), "is not a file"),
        (lambda a, p: (a.issue()[1], a.issue()[1]), "holds no certificate in PEM"),
        (lambda a, p: (a.issue()[0], a.file), "KEY: .*holds no private key in PEM"),
        (lambda a, p: (a.issue()[0], None), "no private key in PEM.*; or name the file of the key in"),
        (damaged, "no certificate in PEM .*or a damaged one"),
        (with_password, "has a password"),
        (lambda a, p: (a.issue("one")[0], a.issue("two")[1]), "two.key does not belong to .*one.pem"),
        (behind_its_issuer, "must be the first one"),
        (a_long_chain, "at most 15000 are allowed"),
        (lambda a, p: a.issue(days=-0.1), r"has expired on \d{4}-"),
        (lambda a, p: a.issue(since=-1), "is not valid before .*clock"),
        (lambda a, p: a.issue(server=False), "is not for servers"),
        (lambda a, p: a.issue(key=rsa.generate_private_key(65537, 1024)), "RSA with 1024 bits is not used"),
        (lambda a, p: a.issue(key=ec.generate_private_key(ec.SECP224R1())), "secp224r1 is not used; allowed"),
    ],
)  # fmt: skip
def test_a_certificate_that_cannot_be_used_is_one_message_that_says_why(
    authority: Authority, tmp_path: Path, make: Make, says: str
) -> None:
    authority.file.chmod(0o600)
    for path in make(authority, tmp_path):
        if path is not None and path.is_file():
            path.chmod(0o600)
    with pytest.raises(ConfigError, match=f"FORESHOCK_TLS_.*{says}") as caught:
        check_reach(settings(tmp_path, *make(authority, tmp_path)))
    assert "\n" not in str(caught.value) and "PRIVATE KEY-----\nM" not in str(caught.value)


def test_strong_keys_of_each_kind_are_taken(authority: Authority, tmp_path: Path) -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        read_certificate(settings(tmp_path, *authority.issue(key=key)))


def test_an_end_in_the_future_counts_from_the_time_that_is_given(authority: Authority, tmp_path: Path) -> None:
    named = settings(tmp_path, *authority.issue(days=30))
    with pytest.raises(ConfigError, match="has expired"):
        read_certificate(named, datetime.now(UTC) + timedelta(days=31))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "", "*", "0", "nowhere.invalid"])
def test_plain_http_beyond_loopback_is_refused_unless_asked_for(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"FORESHOCK_TLS_CERTIFICATE.*FORESHOCK_ALLOW_PLAIN_HTTP=1") as caught:
        check_reach(load_settings(home=tmp_path, host=host))
    assert "\n" not in str(caught.value)
    check_reach(load_settings(home=tmp_path, host=host, allow_plain_http=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_needs_no_certificate(tmp_path: Path, host: str) -> None:
    assert is_loopback(host)
    check_reach(load_settings(home=tmp_path, host=host))


def test_a_certificate_opens_every_address_and_makes_the_url_https(authority: Authority, tmp_path: Path) -> None:
    found = settings(tmp_path, *authority.issue(), host="0.0.0.0", port=8443)
    check_reach(found)
    assert found.url == "https://0.0.0.0:8443"
    assert load_settings(home=tmp_path, tls_certificate="").url.startswith("http://")  # empty: none is named


def test_a_key_alone_and_a_certificate_on_somebody_elses_cluster_are_refused(
    authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue()
    with pytest.raises(ConfigError, match="a key without a certificate"):
        check_reach(load_settings(home=tmp_path, tls_key=key))
    with pytest.raises(ConfigError, match=r"cluster of FORESHOCK_RAY_ADDRESS, let its ingress speak TLS"):
        check_reach(settings(tmp_path, certificate, key, ray_address="10.0.0.7:6379"))
