"""A job on a cluster of several nodes: shards give what one process gives, and a node may die."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock_models.policy import Policy
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.rows import score_panel
from foreshock_pipelines.scoring.shards import join


def test_parts_of_the_entities_scored_apart_are_the_pass_of_all(trained: Any) -> None:
    detector, model = Registry(trained.registry).load("small")
    panel = trained.windows.to_panel()
    policy = Policy(3, 5, 600.0)
    since = np.full(panel.n_entities, panel.timestamps[-200])
    since[0] = panel.timestamps[-1] + 1  # nothing of it is new
    whole = score_panel(detector, model.version, panel, policy, since=since, usual=True)
    parts = [
        score_panel(
            detector, model.version, panel.entities_between(a, b), policy, since=since[a:b], usual=True,
            state=detector.state_,
        )
        for a, b in ((0, 1), (1, 3), (3, 4))
    ]  # fmt: skip
    joined = join(parts)
    assert joined.panel.entities == whole.panel.entities
    np.testing.assert_array_equal(joined.panel.timestamps, whole.panel.timestamps)
    np.testing.assert_array_equal(joined.score, whole.score)
    np.testing.assert_array_equal(joined.permitted, whole.permitted)
    assert joined.causes == whole.causes
    assert joined.usual is not None
    assert whole.usual is not None
    np.testing.assert_array_equal(joined.usual.upper, whole.usual.upper)


@pytest.mark.ray
@pytest.mark.slow
def test_nodes_that_die_in_training_and_in_scoring_lose_nothing(trained: Any, tmp_path: Path, root: Path) -> None:
    windows = tmp_path / "windows.parquet"
    trained.windows.write_parquet(windows)
    given = [str(windows), str(trained.registry), "small"]
    command = [sys.executable, "-m", "tests.integration.pipelines.jobs.many_nodes", *given]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(root)])}
    env.pop("OMP_NUM_THREADS", None)  # as an installation has it: what a worker may take is for Ray to say
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("most_threads") == 1
    assert found.pop("node_died_in_training")
    assert found.pop("training_differs") == 0.0
    assert found.pop("nodes_that_scored") == 2
    assert found.pop("node_died_in_scoring")
    assert found.pop("shards_that_moved") >= 1
    assert found.pop("entities") == list(trained.windows.to_panel().entities)
    assert all(found.values()), found
