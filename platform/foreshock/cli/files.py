"""Files that commands write: whole, or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from foreshock_models.errors import ConfigError

__all__ = ["make_room", "reading", "writing"]


def make_room(path: Path | None) -> None:
    """Make the folder of a file that a command will write, before the work whose result the file is to hold.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(f"{path}: cannot be written: it is a folder; name a file")
    folder = path.absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written: {exc}") from exc
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: cannot be written: the folder {folder} may not be written to")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a path beside a file, which takes the place of the file if the block ends well.

    Whatever ends the block early, what was there before stays.
    """
    part = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Open a file that the user names.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    with file:
        yield file
