"""Passwords: argon2id, a lower bound of what may be one, and the same time for names that nobody has."""

from __future__ import annotations

import secrets
from functools import cache

from pwdlib import PasswordHash
from pwdlib.exceptions import PwdlibError
from pwdlib.hashers.argon2 import Argon2Hasher

from foreshock_models.errors import ConfigError

__all__ = ["check_password", "hash_password", "made_password", "password_matches"]

SHORTEST, LONGEST = 12, 256
FEWEST_DIFFERENT = 5
_HASHER = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
"""OWASP's parameters: 19 MiB and two passes, so that several logins at a time fit into memory."""


def hash_password(password: str) -> str:
    return _HASHER.hash(password)


def password_matches(password: str, hashed: str | None) -> bool:
    """Check a password; without a hash, it takes as long and is wrong."""
    try:
        right = _HASHER.verify(password[: LONGEST + 1], hashed or _nobody())
    except PwdlibError:
        return False
    return right and hashed is not None


def check_password(password: str, name: str) -> str:
    """Return a password that may be chosen.

    Raises
    ------
    ConfigError
        It is too short, too long, or easily guessed; it is not quoted.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise ConfigError(f"a password has {SHORTEST} to {LONGEST} characters; several words make a good one")
    lower = password.lower()
    if len(set(lower)) < FEWEST_DIFFERENT or lower in _run_of_keys() or (name and name in lower):
        raise ConfigError(
            "the password is easily guessed: it repeats few characters, runs along the keyboard, or holds the "
            "name; several words make a good one"
        )
    return password


def made_password() -> str:
    """Make one for the first login, of 128 bits."""
    return secrets.token_urlsafe(16)


def _run_of_keys() -> str:
    rows = (
        "1234567890",
        "qwertyuiop",
        "asdfghjkl",
        "zxcvbnm",
        "qwertzuiop",
        "azertyuiop",
        "abcdefghijklmnopqrstuvwxyz",
    )
    forward = "".join(rows) * 2 + "".join(row * 2 for row in rows) + "0123456789" * 3
    return forward + "\n" + forward[::-1]


@cache
def _nobody() -> str:
    """A hash that no password is of."""
    return hash_password(secrets.token_urlsafe(32))
