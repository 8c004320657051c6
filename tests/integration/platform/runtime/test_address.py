"""The address of a Ray cluster that runs elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), [("RAY_ADDRESS", "127.0.0.1:9"), ("TMPDIR", "/tmp/" + "x" * 90)])
def test_a_command_that_cannot_have_ray_ends_soon_with_one_message(tmp_path: Path, name: str, value: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "foreshock", "train", "-c", tmp_path / "none.yaml"],
        env=environment | {"FORESHOCK_HOME": str(tmp_path / "home"), name: value}, capture_output=True, text=True,
        timeout=100,  # it takes 3 s, and Ray itself would take minutes; other tests may run beside it
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"error: {name}: ") and len(done.stderr.splitlines()) == 1
