"""A package of a third party, built and installed beside Foreshock: its detector trains, scores and explains a job.

The package is `tests/integration/plugin` itself, with its own ``pyproject.toml``. Other entry points go there, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process in which the package is installed."""
    target = tmp_path_factory.mktemp("site-packages")
    options = ["-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(HERE)], check=True)
    path = os.pathsep.join([str(target), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "FORESHOCK_HOME": str(target / "home")}


def run(code: str, env: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_detector_passes_the_checks(installed: dict[str, str]) -> None:
    run(
        "from foreshock_example.zscore import ZScore; from foreshock_models.checks import check_detector;"
        "check_detector(ZScore())",
        installed,
    )


def test_a_wrong_name_is_told_of_it(installed: dict[str, str]) -> None:
    said = run(
        "from foreshock_models.detectors import make\n"
        "from foreshock_models.errors import ConfigError\n"
        "try:\n make('zscor')\nexcept ConfigError as exc:\n print(exc)",
        installed,
    )
    assert "did you mean 'zscore'" in said


@pytest.mark.ray
@pytest.mark.slow
def test_a_job_that_names_its_detector_is_trained_scored_and_explained(
    installed: dict[str, str], tmp_path: Path
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(
        f"name: node\nsource: {{parquet: {tmp_path}/rows.parquet}}\nentity: [instance]\n"
        "queries: {cpu: demo_cpu, memory: demo_memory}\nstep: 60s\nhistory: 2d\n"
        "detectors: [{zscore: {tolerance: 0.5}}]\n"
    )
    said = run(
        f"""
import numpy as np
import foreshock
from foreshock_pipelines.registry import Registry
windows = foreshock.demo_fleet(hosts=3, days=2)[0].keep(["cpu", "memory"])
windows.write_parquet({str(tmp_path / "rows.parquet")!r})
registry = Registry({str(tmp_path / "models")!r})
foreshock.train(foreshock.load_job({str(job)!r}), registry)
model, version = registry.load("node", registry.champion("node"))
scores = model.score(windows)
row = int(np.argmax(scores.score))
print(type(model).__name__, version.manifest["model"]["detector"], model.explain(windows, [row]).top(0, 1)[0][0])
""",
        installed,
    )
    kind, detector, cause = said.split()[-3:]
    assert (kind, detector) == ("ZScore", "zscore")
    assert cause in {"cpu", "memory"}
