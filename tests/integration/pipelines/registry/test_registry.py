"""Versions of models: seen whole or not at all, whatever dies in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from foreshock_pipelines.registry import Registry

PUBLISH = """
import sys, numpy as np
from foreshock_models.detectors import Subspace
from foreshock_pipelines.registry import Registry
model = Subspace(window=24).fit(np.random.default_rng(0).normal(size=(400, 8)))
registry = Registry(sys.argv[1])
print("ready", flush=True)
while True:
    registry.publish(model, "node")
    registry.prune("node", keep=5)
"""


@pytest.fixture(params=["folder", "uri"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    return Registry(tmp_path if request.param == "folder" else f"file://{tmp_path}")


@pytest.mark.slow
def test_a_publisher_killed_at_any_moment_leaves_only_whole_models(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", PUBLISH, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(float(rng.uniform(0.05, 0.5)))
            os.kill(process.pid, signal.SIGKILL)
        registry = Registry(tmp_path)
        versions = sorted(d.name for d in (tmp_path / "node").iterdir() if d.is_dir() and d.name[0] != ".")
        assert sorted(m.version for m in registry.models("node")) == versions, "a half-written version is seen"
        for version in versions:
            registry.load("node", version)
        assert registry.champion("node") in versions
