"""Job files as text: bounded in size, never waited for, UTF-8 whatever the locale."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.location import place

__all__ = ["MAX_BYTES", "decoded", "read_text"]

MAX_BYTES = 1 << 20
"""Of one job file. A thousand queries of three hundred characters take a third of it."""


def read_text(path: Path) -> str:
    """Return the text of a job file, without a byte order mark.

    Raises
    ------
    ConfigError
        It is not there, not a regular file, larger than `MAX_BYTES`, or not UTF-8.
    """
    try:
        # without O_NONBLOCK, a named pipe that nobody writes to blocks here
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        raise ConfigError(f"{path}: cannot read the job file: {getattr(exc, 'strerror', None) or exc}") from exc
    try:
        kind = os.fstat(descriptor)
        if not stat.S_ISREG(kind.st_mode):
            raise ConfigError(f"{path}: cannot read the job file: it is {_kind(kind.st_mode)}, not a regular file")
        if kind.st_size > MAX_BYTES:
            raise ConfigError(_too_large(path))
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)  # it may have grown since
    except OSError as exc:
        raise ConfigError(f"{path}: cannot read the job file: {exc.strerror or exc}") from exc
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise ConfigError(_too_large(path))
    return decoded(data, str(path))


def decoded(data: bytes, name: str) -> str:
    """Return bytes as text.

    Raises
    ------
    ConfigError
        They are not UTF-8; names the line.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        where = place(data.decode("latin-1"), data.count(b"\n", 0, exc.start))
        raise ConfigError(
            f"{name}: {where}: the byte 0x{data[exc.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def _kind(mode: int) -> str:
    for is_kind, words in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if is_kind(mode):
            return words
    return "a socket"


def _too_large(path: Path) -> str:
    return f"{path}: larger than {MAX_BYTES // 1024} KiB, which no job file is; is it another file?"
