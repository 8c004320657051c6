"""The certificate of the HTTP API and its private key, read and checked before anybody is served with them."""

from __future__ import annotations

import os
import ssl
import stat
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import MD5, SHA1
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from foreshock.settings import Settings
from foreshock_models.errors import ConfigError

__all__ = ["Certificate", "read_certificate"]

LARGEST_FILE = 2**20
LARGEST = 15_000
"""Bytes of chain and key together: the proxy takes them in one command of 16 KiB."""
RSA_BITS = 2048
CERTIFICATE, KEY = "FORESHOCK_TLS_CERTIFICATE", "FORESHOCK_TLS_KEY"


@dataclass(frozen=True)
class Certificate:
    """A certificate that was checked together with its key."""

    pem: bytes
    """Chain and private key, without anything else that was in the files."""
    fingerprint: str
    """SHA-1 of the certificate in hexadecimal digits, by which the proxy names it."""
    names: tuple[str, ...]
    """Host names and addresses that it is for."""
    issuer: str
    ends: datetime

    def days_left(self, now: datetime) -> float:
        """Days until it ends."""
        return (self.ends - now).total_seconds() / 86400


def read_certificate(settings: Settings, now: datetime | None = None) -> Certificate:
    """Read and check the files that the settings name.

    Raises
    ------
    ConfigError
        A file cannot be read or is not what it should be, others can read the key, certificate and key do not
        belong together, or the certificate is not valid now.
    """
    path = settings.tls_certificate
    if path is None:
        raise ConfigError(f"{CERTIFICATE}: no certificate is named")
    key_path = settings.tls_key or path
    key_name = KEY if settings.tls_key else CERTIFICATE
    chain = _chain(path, _content(path, CERTIFICATE))
    key = _private_key(key_path, key_name, _content(key_path, key_name, secret=True))
    leaf = chain[0]
    _check_pair(path, chain, key_path, key)
    _check_strength(path, chain, key)
    _check_use(path, leaf)
    _check_time(path, leaf, now or datetime.now(UTC))
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in chain)
    pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if len(pem) > LARGEST:
        raise ConfigError(
            f"{CERTIFICATE}: {path}: chain and key have {len(pem)} bytes, at most {LARGEST} are allowed: leave out "
            "the root, and certificates that are not part of the chain"
        )
    _check_with_openssl(path, pem)
    return Certificate(
        pem, leaf.fingerprint(SHA1()).hex(), _names(leaf), _common_name(leaf.issuer), leaf.not_valid_after_utc
    )


def _content(path: Path, name: str, *, secret: bool = False) -> bytes:
    try:
        found = path.stat()  # of a link, what it leads to
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{name}: {path} is not a file")
        # a file of root's may be shared with a group, as secrets of Kubernetes and of Debian are
        if secret and found.st_mode & (0o027 if found.st_uid == 0 else 0o077):
            raise ConfigError(
                f"{name}: others can read the private key {path} (mode {stat.S_IMODE(found.st_mode):o}): "
                f"chmod 600 {path}"
            )
        if found.st_size > LARGEST_FILE:
            raise ConfigError(f"{name}: {path} has {found.st_size} bytes; at most {LARGEST_FILE} are read")
        return path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{name}: {path} cannot be read: {exc.strerror or exc}") from exc


def _chain(path: Path, data: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as exc:
        raise ConfigError(
            f"{CERTIFICATE}: {path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----), or a damaged one"
        ) from exc


def _private_key(path: Path, name: str, data: bytes) -> PrivateKeyTypes:
    more = f"; or name the file of the key in {KEY}" if name == CERTIFICATE else ""
    try:
        return load_pem_private_key(data, password=None)
    except TypeError as exc:
        raise ConfigError(
            f"{name}: the private key in {path} has a password; write it without one (openssl pkey -in ...), in a "
            "file that its owner alone can read"
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigError(
            f"{name}: {path} holds no private key in PEM (-----BEGIN PRIVATE KEY-----), or a damaged one{more}"
        ) from exc


def _check_pair(path: Path, chain: list[x509.Certificate], key_path: Path, key: PrivateKeyTypes) -> None:
    wanted = _spki(key.public_key())
    matches = [_spki(one.public_key()) == wanted for one in chain]
    if matches[0]:
        return
    if any(matches):
        raise ConfigError(
            f"{CERTIFICATE}: {path}: the certificate of the key {key_path} must be the first one, then its issuers"
        )
    raise ConfigError(f"{KEY}: the private key {key_path} does not belong to the certificate {path}")


def _spki(key: object) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))  # type: ignore[attr-defined]


def _check_strength(path: Path, chain: list[x509.Certificate], key: PrivateKeyTypes) -> None:
    if isinstance(key, rsa.RSAPrivateKey):
        strong, kind = key.key_size >= RSA_BITS, f"RSA with {key.key_size} bits"
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        strong, kind = isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1), key.curve.name
    else:
        strong, kind = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey), type(key).__name__
    if not strong:
        raise ConfigError(
            f"{CERTIFICATE}: {path}: a key of {kind} is not used; allowed: RSA from {RSA_BITS} bits, the curves "
            "P-256, P-384 and P-521, Ed25519, Ed448"
        )
    for one in chain:
        weak = isinstance(one.signature_hash_algorithm, MD5 | SHA1)
        if weak and one.issuer != one.subject:
            raise ConfigError(f"{CERTIFICATE}: {path}: a certificate is signed by MD5 or SHA-1; ask for a new one")


def _check_use(path: Path, leaf: x509.Certificate) -> None:
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    except ValueError as exc:
        raise ConfigError(f"{CERTIFICATE}: {path}: its extensions cannot be read: {exc}") from exc
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(uses):
        raise ConfigError(f"{CERTIFICATE}: {path} is not for servers (its extended key usage lacks serverAuth)")


def _check_time(path: Path, leaf: x509.Certificate, now: datetime) -> None:
    if now >= leaf.not_valid_after_utc:
        raise ConfigError(f"{CERTIFICATE}: {path} has expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if now < leaf.not_valid_before_utc:
        raise ConfigError(
            f"{CERTIFICATE}: {path} is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; is the "
            "clock of this machine right?"
        )


def _check_with_openssl(path: Path, pem: bytes) -> None:
    """Have OpenSSL take it, as the proxy will."""
    handle, name = tempfile.mkstemp(prefix="fs-", suffix=".pem")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(name)
    except ssl.SSLError as exc:
        raise ConfigError(f"{CERTIFICATE}: {path}: OpenSSL refuses it: {exc.reason or exc}") from exc
    finally:
        os.unlink(name)


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = found.get_values_for_type(x509.IPAddress)
    return (*found.get_values_for_type(x509.DNSName), *map(str, addresses))


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()
