"""The home of an installation: a folder that only its owner enters."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from foreshock.logs import get_logger
from foreshock_models.errors import InstallationError

__all__ = ["load_or_create_secret", "open_home", "open_to_others", "private_folder", "private_name"]

OURS = ("foreshock.db", "api-token", "models", "demo", "ray-token")
"""A folder that holds one of these is a home."""
log = get_logger("home")


def open_home(home: Path) -> None:
    """Make the home and its models folder with mode 0700, or take away what others may do in them.

    A folder that is also used for something else, as ``/tmp``, keeps its mode; that is logged.

    Raises
    ------
    InstallationError
        It cannot be made or entered.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if open_to_others(home) and not _restrict_to_owner(home):
            log.warning(
                "others can enter the home, which is used for something else, too; set FORESHOCK_HOME to a "
                "folder of its own",
                home=str(home), mode=f"{stat.S_IMODE(home.stat().st_mode):o}",
            )  # fmt: skip
        (home / "models").mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        reason = exc.strerror or exc
        raise InstallationError(
            f"FORESHOCK_HOME: {home} cannot be used: {reason}; set it to a folder that this user can write"
        ) from exc


def load_or_create_secret(path: Path) -> tuple[str, bool]:
    """Return the secret in a file of mode 0600, and whether it was created just now.

    The file appears with its content, so that two processes that start at once agree; an empty one is replaced.
    """
    if path.exists() and not path.read_text().strip():
        path.unlink()
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
    try:
        os.link(part, path)
        made = True
    except FileExistsError:  # somebody else was first
        made = False
    except OSError:  # a filesystem without hard links
        os.replace(part, path)
        made = True
    finally:
        part.unlink(missing_ok=True)
    if open_to_others(path):
        path.chmod(0o600)
    return path.read_text().strip(), made


def private_folder(base: Path = Path("/tmp")) -> Path:
    """A folder in `base` that no other user enters, for sockets and locks.

    Raises
    ------
    InstallationError
        It is somebody else's.
    OSError
        It cannot be made.
    """
    folder = private_name(base)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise InstallationError(
            f"{folder} must be a folder that only this user can enter; remove it and start again"
        )
    return folder


def private_name(base: Path) -> Path:
    """Return the name of that folder: short, for a socket's has 107 bytes."""
    return base / f"foreshock-{os.getuid()}"


def open_to_others(path: Path) -> bool:
    """Check whether anybody but the owner may do anything with it."""
    return bool(path.stat().st_mode & 0o077)


def _restrict_to_owner(home: Path) -> bool:
    """Take the rights of others away, if the folder holds nothing but a home; gives whether it did."""
    found = home.stat()
    if found.st_uid != os.getuid() or found.st_mode & stat.S_ISVTX or home in (Path.home(), Path("/")):
        return False
    names = {entry.name for entry in home.iterdir()}
    if names and not names & set(OURS):
        return False
    home.chmod(0o700)
    return True
