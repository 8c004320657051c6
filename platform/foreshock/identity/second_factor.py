"""Time-based one-time codes (RFC 6238), and recovery codes for who lost the device."""

from __future__ import annotations

import hashlib
import io
import secrets

import pyotp
import segno

__all__ = ["code_step", "made_recovery_codes", "made_secret", "qr_svg", "qr_text", "recovery_digest", "setup_uri"]

ISSUER = "Foreshock"
STEP = 30
WINDOW = 1
"""Steps before and after the present one whose codes are taken, too: clocks differ."""
RECOVERY_CODES = 10


def made_secret() -> str:
    return pyotp.random_base32()


def setup_uri(secret: str, name: str) -> str:
    """Return the URI that an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def code_step(secret: str, code: str, now: float) -> int | None:
    """Return the time step that a code is of; None if it is of none of those that are taken."""
    present = int(now // STEP)
    totp = pyotp.TOTP(secret)
    for step in range(present - WINDOW, present + WINDOW + 1):
        if secrets.compare_digest(totp.at(step * STEP).encode(), code.strip().replace(" ", "").encode()):
            return step
    return None


def made_recovery_codes() -> list[str]:
    """Make codes of 80 bits each, as ``abcd-efgh-ijkl-mnop``."""
    made = [pyotp.random_base32(32)[:16].lower() for _ in range(RECOVERY_CODES)]
    return ["-".join(code[i : i + 4] for i in range(0, 16, 4)) for code in made]


def recovery_digest(code: str) -> str:
    plain = code.strip().lower().replace("-", "").replace(" ", "")
    return hashlib.sha256(plain.encode()).hexdigest()


def qr_svg(uri: str) -> str:
    """Return the QR code of a URI as SVG."""
    out = io.BytesIO()
    segno.make(uri, error="m").save(out, kind="svg", scale=4, xmldecl=False)
    return out.getvalue().decode()


def qr_text(uri: str) -> str:
    """Return the QR code of a URI in half blocks, for a terminal."""
    out = io.StringIO()
    segno.make(uri, error="m").terminal(out, compact=True)
    return out.getvalue()
