"""Checks that every detector passes: one function each, run over the registry and over plugins.

Each takes a function that makes the detector, small enough to fit in a second, and the rows to use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from foreshock_models.artifacts import load, save
from foreshock_models.detectors import Detector
from foreshock_models.panel import Panel

Make = Callable[[], Detector]
"""The same object for the same detector: what it makes is fitted once for all checks that only look at it."""
N_TRAIN, N_TEST = 700, 400
ANOMALIES = ((80, 110), (250, 280))


def rows_of(n: int, first: int, *, seed: int, n_features: int, n_entities: int = 2) -> Panel:
    """Waves with noise, one after the other entity; the second on another scale."""
    rng = np.random.default_rng(seed)
    t = np.arange(first, first + n)
    blocks = []
    for e in range(n_entities):
        waves = np.stack([np.sin(t / (9 + 4 * j) + e) for j in range(n_features)], axis=1)
        blocks.append((waves + rng.normal(0, 0.1, waves.shape)) * 10.0**e + 5 * e)
    return Panel(
        values=np.concatenate(blocks),
        offsets=np.arange(n_entities + 1) * n,
        entities=tuple(f"e{e}" for e in range(n_entities)),
        features=tuple(f"f{j}" for j in range(n_features)),
        timestamps=np.tile(t * 60_000, n_entities).astype(np.int64),
        step=60.0,
    )


def training_rows(n_features: int) -> Panel:
    return rows_of(N_TRAIN, 0, seed=1, n_features=n_features)


@cache
def fitted_by(make: Make, n_features: int) -> Detector:
    """The detector, fitted on the training rows; not to be changed."""
    return make().fit(training_rows(n_features))


@contextmanager
def nothing_unpickled() -> Iterator[None]:
    """Raise where anything that this block calls looks up a class or function that a pickle names."""
    _watching.append(True)
    try:
        yield
    finally:
        _watching.pop()


_watching: list[bool] = []


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event == "pickle.find_class":
        raise AssertionError(f"unpickled {arguments}")


sys.addaudithook(_refuse)


def test_rows(n_features: int) -> tuple[Panel, NDArray[np.bool_]]:
    """Rows after the training ones, with anomalies in the first feature, and which rows they are."""
    panel = rows_of(N_TEST, N_TRAIN, seed=2, n_features=n_features)
    label = np.zeros(panel.n_rows, np.bool_)
    for _, block in panel:
        scale = np.ptp(panel.values[block.start : block.start + 60, 0])
        for a, b in ANOMALIES:
            label[block.start + a : block.start + b] = True
            panel.values[block.start + a : block.start + b, 0] += 3 * scale
    return panel, label


def same_part(panel: Panel, n: int) -> Panel:
    """The first `n` rows of each entity."""
    return panel.take(panel.positions < n)


def check_beats_chance(make: Make, n_features: int, tmp_path: Path) -> None:
    panel, label = test_rows(n_features)
    scores = fitted_by(make, n_features).decision_function(panel)
    assert roc_auc_score(label, scores) > 0.8


def check_alert_line_separates(make: Make, n_features: int, tmp_path: Path) -> None:
    skip = 240  # rows of context, as a live scorer has them
    panel = rows_of(N_TEST + skip, N_TRAIN - skip, seed=2, n_features=n_features)
    for _, block in panel:
        scale = np.ptp(panel.values[block.start : block.start + 60, 0])
        panel.values[block.start + skip + 80 : block.start + skip + 110, 0] += 3 * scale
    scores = fitted_by(make, n_features).score(panel, since=int(panel.timestamps[skip]))
    before = scores.panel.positions < 80  # what comes after an anomaly may still have it in its window
    assert (scores.score[before] >= 1.0).mean() < 0.1
    for _, block in scores.panel:
        assert (scores.score[block] >= 1.0).any()


def check_same_seed_same_model(make: Make, n_features: int, tmp_path: Path) -> None:
    panel, _ = test_rows(n_features)
    first, second = (make().fit(training_rows(n_features)).decision_function(panel) for _ in range(2))
    np.testing.assert_allclose(first, second, rtol=1e-6)


def check_survives_save_and_load(make: Make, n_features: int, tmp_path: Path) -> None:
    panel, _ = test_rows(n_features)
    fitted = fitted_by(make, n_features)
    with nothing_unpickled():
        save(fitted, tmp_path / "model")
        loaded = load(tmp_path / "model")
    np.testing.assert_allclose(loaded.decision_function(panel), fitted.decision_function(panel), rtol=1e-6)
    np.testing.assert_allclose(loaded.score(panel).score, fitted.score(panel).score, rtol=1e-6)
    np.testing.assert_array_equal(loaded.predict(panel), fitted.predict(panel))
    assert loaded.context == fitted.context


def check_changes_no_input(make: Make, n_features: int, tmp_path: Path) -> None:
    train = training_rows(n_features)
    panel, _ = test_rows(n_features)
    before = train.values.copy(), panel.values.copy()
    fitted = make().fit(train)
    fitted.score(panel)
    fitted.explain(panel, [100])
    np.testing.assert_array_equal(train.values, before[0])
    np.testing.assert_array_equal(panel.values, before[1])


def check_finite_with_gaps_and_constants(make: Make, n_features: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)

    def damaged(panel: Panel) -> Panel:
        values = panel.values.copy()
        values[rng.random(values.shape) < 0.05] = np.nan
        values[200:260] = np.nan  # an outage
        if n_features > 2:
            values[:, 1] = 4.0  # constant
            values[:, 2] = np.nan  # never a sample
        return Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)

    fitted = make().fit(damaged(training_rows(n_features)))
    quiet = damaged(rows_of(N_TEST, N_TRAIN, seed=4, n_features=n_features))
    scores = fitted.score(quiet)
    assert np.isfinite(scores.raw).all()
    assert np.isfinite(scores.score).all()
    assert (scores.score >= 1.0).mean() < 0.3, "gaps and constants must not keep the score high"
    assert np.isfinite(fitted.explain(quiet, [5, 230, 300]).attributions).all()


def check_sees_no_future(make: Make, n_features: int, tmp_path: Path) -> None:
    """The future shifted: nothing that came before may change."""
    panel, _ = test_rows(n_features)
    fitted = fitted_by(make, n_features)
    values = panel.values.copy()
    values[panel.positions >= 150] *= -3.0
    changed = Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)
    early = panel.positions < 150
    np.testing.assert_allclose(fitted.score(panel).score[early], fitted.score(changed).score[early], rtol=1e-6)


def check_in_parts_as_in_one(make: Make, n_features: int, tmp_path: Path) -> None:
    """Consecutive calls, with context and the state of the call before, score as one call does."""
    panel, _ = test_rows(n_features)
    fitted = fitted_by(make, n_features)
    whole = fitted.score(panel).score
    cut = max(fitted.context + 1, 200)
    first = fitted.score(same_part(panel, cut))
    rest = panel.take(panel.positions >= cut - fitted.context)
    since = int(panel.timestamps[cut])
    second = fitted.score(rest, since=since, state=first.state)
    for e in range(panel.n_entities):
        block = slice(panel.offsets[e], panel.offsets[e + 1])
        parts = [s.score[s.panel.offsets[e] : s.panel.offsets[e + 1]] for s in (first, second)]
        np.testing.assert_allclose(np.concatenate(parts), whole[block], rtol=1e-4, atol=1e-5)


def check_some_rows_as_all(make: Make, n_features: int, tmp_path: Path) -> None:
    """A live scorer asks for few rows of many: they score as they do among all."""
    panel, _ = test_rows(n_features)
    fitted = fitted_by(make, n_features)
    rows = np.array([0, 3, 5, 250, N_TEST - 1, N_TEST, N_TEST + 2, panel.n_rows - 1])
    np.testing.assert_allclose(
        fitted.scorer_.score(panel, rows), fitted.decision_function(panel)[rows], rtol=1e-4, atol=1e-6
    )


def check_unknown_entity_is_scored_and_warming(make: Make, n_features: int, tmp_path: Path) -> None:
    fitted = fitted_by(make, n_features)
    new = rows_of(N_TEST, N_TRAIN, seed=5, n_features=n_features, n_entities=1)
    named = Panel(new.values, new.offsets, ("never seen",), new.features, new.timestamps, new.step)
    scores = fitted.score(named)
    assert np.isfinite(scores.score).all()
    assert scores.warming[0]
    assert not scores.warming[-1]


def check_attributions_add_up_and_name_the_cause(make: Make, n_features: int, tmp_path: Path) -> None:
    panel, label = test_rows(n_features)
    fitted = fitted_by(make, n_features)
    rows = np.flatnonzero(label)[10:60:5]
    found = fitted.explain(panel, rows)
    assert found.attributions.shape == (len(rows), n_features)
    np.testing.assert_allclose(found.raw, fitted.decision_function(panel)[rows], rtol=1e-4, atol=1e-6)
    exact = 1e-6 if fitted.name in {"iforest", "subspace", "discord", "ensemble"} else 0.35
    assert np.median(found.additivity_error / np.maximum(np.abs(found.raw), 1e-9)) <= exact
    assert (found.attributions.argmax(axis=1) == 0).mean() >= 0.8


def check_follows_pyods_conventions(make: Make, n_features: int, tmp_path: Path) -> None:
    fitted = fitted_by(make, n_features)
    panel, _ = test_rows(n_features)
    assert fitted.decision_scores_.shape == fitted.labels_.shape == (2 * N_TRAIN,)
    assert set(np.unique(fitted.predict(panel))) <= {0, 1}
    probability = fitted.predict_proba(panel)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert repr(clone(make()).get_params()) == repr(make().get_params())


CHECKS = tuple(value for name, value in list(globals().items()) if name.startswith("check_"))
