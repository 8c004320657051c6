"""Training on a Ray cluster: several workers on one network, and what happens when a process dies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import pytest
from tests.integration.pipelines.jobs.busy import busy

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import VAE
from foreshock_models.errors import JobError
from foreshock_models.panel import Panel
from foreshock_pipelines.training.fit import FitResult, fit

pytestmark = [pytest.mark.ray, pytest.mark.slow]
BUDGET = Budget.parse("1 per day")
NETWORKS: dict[str, dict[str, Any]] = {"vae": {"epochs": 6, "max_windows": 3000}}


@pytest.fixture(scope="module")
def panel(trained: Any) -> Panel:
    rows: Panel = trained.windows.to_panel()
    return rows.select(list(rows.entities[:2]))


def fit_while(killing: Callable[[], psutil.Process], panel: Panel, **options: Any) -> FitResult:
    """Fit in a thread; kill the process that `killing` waits for."""
    with ThreadPoolExecutor(1) as pool:
        fitting = pool.submit(fit, panel, NETWORKS, BUDGET, **options)
        victim = killing()
        victim.kill()
        return fitting.result(timeout=150)


def test_a_fit_whose_worker_is_killed_is_done_again(ray_cluster: None, panel: Panel) -> None:
    fitted = fit_while(lambda: next(busy("ray::fit vae", 0.1)), panel)
    alone = fit(panel, NETWORKS, BUDGET)
    np.testing.assert_allclose(fitted.detector.decision_scores_, alone.detector.decision_scores_)


def test_it_says_how_far_it_has_come(ray_cluster: None, panel: Panel) -> None:
    told: list[tuple[str, int, int]] = []
    long = {"vae": {**NETWORKS["vae"], "epochs": 120, "patience": 120}}  # long enough for a look in the middle
    fit(panel, long, BUDGET, steps=lambda *step: told.append(step))
    assert told[-1] == ("fitted", 1, 1)
    epochs = [(done, total) for what, done, total in told if what == "epochs of vae"]
    assert epochs == sorted(epochs), "a bar never goes back"
    assert epochs[-1] == (120, 120)


def test_two_workers_train_a_network_as_well_as_one_though_one_of_them_is_killed(
    ray_cluster: None, panel: Panel
) -> None:
    alone = fit(panel, NETWORKS, BUDGET).detector
    together = fit_while(lambda: next(busy("RayTrainWorker", 1.0)), panel, workers=2).detector
    assert isinstance(alone, VAE)
    assert isinstance(together, VAE)
    assert together.team is None
    assert min(together.losses_) == pytest.approx(min(alone.losses_), rel=0.05)
    assert np.corrcoef(together.decision_scores_, alone.decision_scores_)[0, 1] > 0.9


def test_more_workers_than_the_cluster_holds_are_refused(ray_cluster: None, panel: Panel) -> None:
    with pytest.raises(JobError, match="100 workers need 50 CPUs, and the Ray cluster has 4; ask for at most 8"):
        fit(panel, NETWORKS, BUDGET, workers=100)
