"""Serve a new certificate as soon as its files are there, without a new process or a dropped connection.

HAProxy takes certificates over its control socket. The certificate that it serves is compared with the newest one
every few seconds: a process that started while the files were being replaced may have read the old one.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foreshock.logs import Condition, describe_error, get_logger
from foreshock.runtime import _haproxy
from foreshock.runtime.certificate import read_certificate
from foreshock.settings import Settings
from foreshock_models.errors import ConfigError

__all__ = ["STATE", "CertificateReload", "served_certificate", "tls_variables"]

STATE = "FORESHOCK_TLS_STATE"
"""Names the file that says how the certificate stands, for metrics."""
FILE, STATE_FILE, SOCKET = "tls.pem", "tls.json", "admin.sock"
EVERY, COMPARE = 1.0, 10.0
SETTLE = 5.0
"""Seconds in which certificate and key may not fit yet: the files are replaced one after the other."""
PATIENCE = 2.0
log = get_logger("tls")


class CertificateReload:
    """Watches the files of the certificate; call `look` often."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder, self.file, self.state = folder, folder / FILE, folder / STATE_FILE
        self.certificate = read_certificate(settings)
        self.counts = {"ok": 0, "failed": 0}
        self.wrong = Condition(
            log, "the changed certificate cannot be used; the one before stays", "the certificate can be used"
        )
        self._seen = self._files()
        self._changed: float | None = None
        self._failed = False
        self._announce = False
        self._compare = 0.0
        self._write()

    def variables(self) -> dict[str, str | None]:
        """Variables that the proxy and the API must have."""
        return {
            _haproxy.CERTIFICATE: str(self.file),
            _haproxy.OLDEST: self.settings.tls_min_version,
            _haproxy.HSTS: str(round(self.settings.hsts.total_seconds())),
            STATE: str(self.state),
        }

    def look(self) -> None:
        """Take up changed files, and have the proxy serve them."""
        now = time.monotonic()
        files = self._files()
        if files != self._seen:
            self._seen, self._changed, self._failed = files, now, False
        if self._changed is not None:
            self._take_up(now - self._changed)
        if self._announce or now > self._compare:
            self._reconcile(now)

    def _take_up(self, age: float) -> None:
        try:
            found = read_certificate(self.settings)
        except ConfigError as exc:
            if age >= SETTLE and not self._failed:
                self._failed = True
                self.counts["failed"] += 1
                self._note()
                self.wrong.raised(str(exc))
            return
        self._changed, self._failed = None, False
        if found.pem != self.certificate.pem:
            self.certificate, self._announce = found, True
        self._write()
        self.wrong.cleared()

    def _reconcile(self, now: float) -> None:
        served = self._served()
        if served is None:  # it starts at the moment, and reads the file
            return
        if served != self.certificate.fingerprint:
            self._command(f"set ssl cert {self.file} <<\n{self.certificate.pem.decode()}\n")
            self._command(f"commit ssl cert {self.file}\n")
            served = self._served()
            if served != self.certificate.fingerprint:
                return
        self._compare = now + COMPARE
        if self._announce:
            self._announce = False
            self.counts["ok"] += 1
            self._note()
            log.info("a new certificate is served", ends=f"{self.certificate.ends:%Y-%m-%d %H:%M} UTC")

    def _served(self) -> str | None:
        """Fingerprint of the certificate that the proxy serves; None: it does not answer."""
        answer = self._command(f"show ssl cert {self.file}\n")
        found = re.search(r"^SHA1 FingerPrint: ([0-9A-F]{40})$", answer, flags=re.M)
        return found[1].lower() if found else None

    def _command(self, text: str) -> str:
        """The proxy's answer; empty if it does not give one."""
        parts = []
        path = next(self.folder.rglob(SOCKET), None)  # Ray keeps it in a folder of its node
        if path is None:
            return ""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PATIENCE)
                connection.connect(str(path))
                connection.sendall(text.encode())
                while part := connection.recv(2**16):
                    parts.append(part)
        except OSError:
            pass
        return b"".join(parts).decode(errors="replace")

    def _files(self) -> list[tuple[int, int, int] | None]:
        found: list[tuple[int, int, int] | None] = []
        for path in (self.settings.tls_certificate, self.settings.tls_key):
            try:
                one = path.stat() if path is not None else None
            except OSError:
                one = None
            found.append(None if one is None else (one.st_mtime_ns, one.st_size, one.st_ino))
        return found

    def _write(self) -> None:
        """Write what a proxy that starts from now on serves."""
        _replace(self.file, self.certificate.pem)
        self._note()

    def _note(self) -> None:
        told = {"ends": self.certificate.ends.timestamp(), "reloads": self.counts, "in_force": not self._failed}
        _replace(self.state, json.dumps(told).encode())


@contextmanager
def tls_variables(settings: Settings, folder: Path) -> Iterator[dict[str, str | None]]:
    """Watch the certificate while the block runs; gives the variables of what is started in it.

    Without a certificate, there is nothing to watch, and the variables are removed.
    """
    if settings.tls_certificate is None:
        yield dict.fromkeys((_haproxy.CERTIFICATE, _haproxy.OLDEST, _haproxy.HSTS, STATE))
        return
    reload = CertificateReload(settings, folder)
    stop = threading.Event()
    thread = threading.Thread(target=_again_and_again, args=(reload, stop), name="certificate", daemon=True)
    thread.start()
    try:
        yield reload.variables()
    finally:
        stop.set()
        thread.join(timeout=2 * PATIENCE)


def served_certificate(state: str | None) -> dict[str, Any] | None:
    """How the certificate of this installation stands; None: it has none, or nothing is known of it."""
    if not state:
        return None
    try:
        found: dict[str, Any] = json.loads(Path(state).read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _again_and_again(reload: CertificateReload, stop: threading.Event) -> None:
    failing = Condition(log, "the certificate is not watched; trying again", "the certificate is watched")
    while not stop.wait(EVERY):
        try:
            reload.look()
        except Exception as exc:  # it must outlive everything; what went wrong is said
            failing.raised(describe_error(exc))
        else:
            failing.cleared()


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    os.replace(part, path)
