"""Machine code of kernels: where it is cached, and what compiles it again."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import foreshock_models
from foreshock_models.kernels import cache
from foreshock_models.kernels.cache import cache_folder

CODE = """
import numpy as np
from foreshock_models.kernels.cache import cache_folder
from foreshock_models.kernels.compiled.rows import rows_since
rows_since(np.arange(4), np.array([0, 4]), np.array([2]))
stats = rows_since.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), cache_folder())
"""


def run(source: Path, base: Path) -> tuple[int, int, Path]:
    """Cache hits and misses of a process that calls one kernel of the package at `source`, and its folder."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    environment |= {"PYTHONPATH": str(source), "XDG_CACHE_HOME": str(base)}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    hits, misses, folder = done.stdout.split()
    return int(hits), int(misses), Path(folder)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The package as another environment has it."""
    where = tmp_path / "site"
    shutil.copytree(
        Path(foreshock_models.__path__[0]), where / "foreshock_models", ignore=shutil.ignore_patterns("__pycache__")
    )
    return where


def test_an_upgrade_that_touches_no_kernel_compiles_nothing(tmp_path: Path, installed: Path) -> None:
    first = run(installed, tmp_path / "cache")
    assert first[:2] == (0, 1)
    upgraded = tmp_path / "other" / "site"
    shutil.copytree(installed, upgraded, copy_function=shutil.copy)  # other folders, and new times
    with (upgraded / "foreshock_models" / "panel.py").open("a") as file:
        file.write("\n# another line\n")
    assert run(upgraded, tmp_path / "cache") == (1, 0, first[2])


def test_a_kernel_that_another_one_calls_makes_both_anew(tmp_path: Path, installed: Path) -> None:
    before = run(installed, tmp_path / "cache")
    with (installed / "foreshock_models" / "kernels" / "compiled" / "scaling.py").open("a") as file:
        file.write("\n# another line\n")
    after = run(installed, tmp_path / "cache")
    assert after[:2] == (0, 1) and after[2] != before[2]


def test_nobody_else_writes_where_code_is_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_folder.cache_clear()
    try:
        folder = cache_folder()
        assert folder is not None and stat.S_IMODE(folder.stat().st_mode) & 0o022 == 0
        folder.chmod(0o777)
        cache_folder.cache_clear()
        assert cache.cache_folder() is None
    finally:
        cache_folder.cache_clear()
