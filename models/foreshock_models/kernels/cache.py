"""Cache of machine code: in the user's cache, by what the kernels say, not by where they are installed.

Numba keeps it beside the source, where it goes with each upgrade and each new environment. Kernels are compiled
again only when a kernel, numba, Python or the processor is another one.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import Any

import numba
from numba.core import config as module
from numba.core.caching import UserProvidedCacheLocator
from numba.core.registry import cpu_target

__all__ = ["KernelCache", "cache_folder", "use_cache"]

config: Any = module
COMPILED = Path(__file__).parent / "compiled"
OTHERS = "UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator,IPythonCacheLocator,ZipCacheLocator"


class KernelCache(UserProvidedCacheLocator):
    """Locator of the kernels' machine code; for what is not a kernel, numba's own follow."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno
        self._cache_path = str(cache_folder())

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> KernelCache | None:
        """The locator of a function, or None: it is not a kernel, or the folder cannot be used."""
        if config.CACHE_DIR or Path(py_file).parent != COMPILED or cache_folder() is None:
            return None
        return cls(py_func, py_file)


def use_cache() -> None:
    """Have the kernels that are decorated from now on kept in `cache_folder`."""
    if not config.CACHE_LOCATOR_CLASSES:
        config.CACHE_LOCATOR_CLASSES = f"{KernelCache.__module__}.{KernelCache.__name__},{OTHERS}"


@functools.cache
def cache_folder() -> Path | None:
    """The folder of these kernels; None if there is none that only this user can write.

    Who writes there decides what code runs.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        parent = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
        folder = parent / "foreshock" / "kernels" / _key()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    except (OSError, RuntimeError):  # no home, or none that can be written
        return None
    return folder if private and os.access(folder, os.W_OK) else None


def _key() -> str:
    """Name of what the machine code was made of; a kernel has those in it that it calls, and constants."""
    digest = hashlib.sha256()
    for part in (numba.__version__, sys.version, str(cpu_target.target_context.codegen().magic_tuple())):
        digest.update(part.encode() + b"\0")
    for file in sorted([*COMPILED.glob("*.py"), *COMPILED.parent.glob("*.py")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:24]
