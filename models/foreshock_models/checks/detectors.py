"""Checks that every detector passes: one function each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from foreshock_models.artifacts import load, save
from foreshock_models.checks.rows import first_rows, waves, with_anomalies, with_gaps
from foreshock_models.checks.suite import nothing_unpickled, run_checks
from foreshock_models.detectors import Detector, find
from foreshock_models.errors import ConfigError, NotFitted
from foreshock_models.panel import Panel

__all__ = ["DetectorUnderCheck", "check_detector", "detector_checks"]

N_TRAIN, N_TEST = 700, 400
ANOMALIES = ((80, 110), (250, 280))
CHANCE = 0.8
"""Area under the ROC curve on plain anomalies that any detector must exceed; 0.5 is chance."""
EXACT, ESTIMATED = 1e-6, 0.35
"""Largest median error of attributions, as a share of the raw score."""


@dataclass
class DetectorUnderCheck:
    """A detector that is not fitted, the number of features of the rows, and one fit that checks share.

    Parameters
    ----------
    detector
        Cloned for each fit. Its parameters should make a fit take about a second.
    n_features
        Columns of the rows.
    """

    detector: Detector
    n_features: int

    @cached_property
    def fitted(self) -> Detector:
        """The detector, fitted on `training`; not to be changed."""
        return self.fit(self.training)

    @cached_property
    def training(self) -> Panel:
        """Normal rows."""
        return waves(N_TRAIN, 0, seed=1, n_features=self.n_features)

    @cached_property
    def test(self) -> Panel:
        """Rows after the training ones, with anomalies."""
        return with_anomalies(self.after(N_TEST), *ANOMALIES)[0]

    def after(self, n: int, *, seed: int = 2, back: int = 0) -> Panel:
        """Return `n` normal rows from `back` rows before the end of the training rows."""
        return waves(n, N_TRAIN - back, seed=seed, n_features=self.n_features)

    def fit(self, panel: Panel) -> Detector:
        """Return a new detector with the same parameters, fitted on `panel`."""
        detector: Detector = clone(self.detector)
        return detector.fit(panel)


def check_detector(detector: Detector, *, n_features: Iterable[int] = (1, 3)) -> None:
    """Run every check on a detector that is not fitted.

    Parameters
    ----------
    n_features
        Numbers of features to check it with.

    Raises
    ------
    AssertionError
        The first check that fails; its name is in the message.

    Examples
    --------
    >>> from foreshock_models.detectors import Discord
    >>> check_detector(Discord(window=16), n_features=[1])
    """
    for n in n_features:
        run_checks(detector_checks(), detector.skipped_checks(), str(n), DetectorUnderCheck(detector, n))


def detector_checks() -> dict[str, Callable[[DetectorUnderCheck], None]]:
    """Return the checks by name."""
    return {
        name: value for name, value in globals().items() if name.startswith("check_") and name != "check_detector"
    }


def check_can_be_found_by_its_name(subject: DetectorUnderCheck) -> None:
    """Its name leads to its class, so that jobs can name it and saved models can be loaded."""
    name = subject.detector.name
    if name == "pyod":
        return
    try:
        found = find(name)
    except ConfigError as exc:
        raise AssertionError(
            f"no detector {name!r} is installed: declare the entry point {name!r} of the group "
            "'foreshock.detectors'"
        ) from exc
    assert found is type(subject.detector), f"the name {name!r} leads to {found}"


def check_beats_chance(subject: DetectorUnderCheck) -> None:
    """Raw scores rank plain anomalies above normal rows."""
    panel, label = with_anomalies(subject.after(N_TEST), *ANOMALIES)
    assert roc_auc_score(label, subject.fitted.decision_function(panel)) > CHANCE


def check_alert_line_separates(subject: DetectorUnderCheck) -> None:
    """A plain anomaly reaches the alert line of each entity; hardly any row before it does."""
    context = 240  # as a live scorer has it
    rows = subject.after(N_TEST + context, back=context)
    panel, _ = with_anomalies(rows, (context + 80, context + 110))
    scores = subject.fitted.score(panel, since=int(panel.timestamps[context]))
    before = scores.panel.positions < 80  # rows after an anomaly may still have it in their window
    assert (scores.score[before] >= 1.0).mean() < 0.1
    for entity, block in scores.panel:
        assert (scores.score[block] >= 1.0).any(), f"the anomaly of {entity} scores {scores.score[block].max():.3f}"


def check_same_seed_same_model(subject: DetectorUnderCheck) -> None:
    """Two fits with the same seed give the same scores."""
    first, second = (subject.fit(subject.training).decision_function(subject.test) for _ in range(2))
    np.testing.assert_allclose(first, second, rtol=1e-6)


def check_survives_save_and_load(subject: DetectorUnderCheck) -> None:
    """A loaded model scores as the saved one; nothing is unpickled."""
    fitted, panel = subject.fitted, subject.test
    with tempfile.TemporaryDirectory() as folder, nothing_unpickled():
        save(fitted, Path(folder, "model"))
        loaded = load(Path(folder, "model"))
    np.testing.assert_allclose(loaded.decision_function(panel), fitted.decision_function(panel), rtol=1e-6)
    np.testing.assert_allclose(loaded.score(panel).score, fitted.score(panel).score, rtol=1e-6)
    np.testing.assert_array_equal(loaded.predict(panel), fitted.predict(panel))
    assert loaded.context == fitted.context


def check_changes_no_input(subject: DetectorUnderCheck) -> None:
    """Fitting, scoring and explaining leave the rows as they are."""
    training, panel = subject.training, subject.test
    before = training.values.copy(), panel.values.copy()
    fitted = subject.fit(training)
    fitted.score(panel)
    fitted.explain(panel, [100])
    np.testing.assert_array_equal(training.values, before[0])
    np.testing.assert_array_equal(panel.values, before[1])


def check_finite_with_gaps_and_constants(subject: DetectorUnderCheck) -> None:
    """Gaps, constant and empty features give finite scores, and do not keep the score high."""
    fitted = subject.fit(with_gaps(subject.training, 3))
    quiet = with_gaps(subject.after(N_TEST, seed=4), 5)
    scores = fitted.score(quiet)
    assert np.isfinite(scores.raw).all()
    assert np.isfinite(scores.score).all()
    assert (scores.score >= 1.0).mean() < 0.3
    assert np.isfinite(fitted.explain(quiet, [5, 230, 300]).attributions).all()


def check_sees_no_future(subject: DetectorUnderCheck) -> None:
    """Later rows change no earlier score."""
    panel = subject.test
    values = panel.values.copy()
    values[panel.positions >= 150] *= -3.0
    changed = Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)
    early = panel.positions < 150
    found, again = (subject.fitted.score(rows).score[early] for rows in (panel, changed))
    np.testing.assert_allclose(found, again, rtol=1e-6)


def check_in_parts_as_in_one(subject: DetectorUnderCheck) -> None:
    """Consecutive calls, with context and the state of the call before, score as one call does."""
    panel, fitted = subject.test, subject.fitted
    whole = fitted.score(panel).score
    cut = max(fitted.context + 1, 200)
    first = fitted.score(first_rows(panel, cut))
    rest = panel.take(panel.positions >= cut - fitted.context)
    second = fitted.score(rest, since=int(panel.timestamps[cut]), state=first.state)
    for e, (_, block) in enumerate(panel):
        parts = [s.score[s.panel.offsets[e] : s.panel.offsets[e + 1]] for s in (first, second)]
        np.testing.assert_allclose(np.concatenate(parts), whole[block], rtol=1e-4, atol=1e-5)


def check_some_rows_as_all(subject: DetectorUnderCheck) -> None:
    """A live scorer asks for few rows of many: they score as among all."""
    panel, fitted = subject.test, subject.fitted
    rows = np.array([0, 3, 5, 250, N_TEST - 1, N_TEST, N_TEST + 2, panel.n_rows - 1])
    expected = fitted.decision_function(panel)[rows]
    np.testing.assert_allclose(fitted.scorer_.score(panel, rows), expected, rtol=1e-4, atol=1e-6)


def check_unknown_entity_is_scored_and_warming(subject: DetectorUnderCheck) -> None:
    """An entity that training did not know gets finite scores, and is warming at first."""
    new = waves(N_TEST, N_TRAIN, seed=5, n_features=subject.n_features, n_entities=1)
    named = Panel(new.values, new.offsets, ("never seen",), new.features, new.timestamps, new.step)
    scores = subject.fitted.score(named)
    assert np.isfinite(scores.score).all()
    assert scores.warming[0]
    assert not scores.warming[-1]


def check_attributions_add_up_and_name_the_cause(subject: DetectorUnderCheck) -> None:
    """Attributions add up to the raw score, and the feature with the anomaly has the largest."""
    panel, label = with_anomalies(subject.after(N_TEST), *ANOMALIES)
    rows = np.flatnonzero(label)[10:60:5]
    found = subject.fitted.explain(panel, rows)
    assert found.attributions.shape == (len(rows), subject.n_features)
    np.testing.assert_allclose(found.raw, subject.fitted.decision_function(panel)[rows], rtol=1e-4, atol=1e-6)
    error = float(np.median(found.additivity_error / np.maximum(np.abs(found.raw), 1e-9)))
    assert error <= (EXACT if subject.detector.exact_attributions else ESTIMATED), (
        f"they miss {error:.2g} of the score"
    )
    assert (found.attributions.argmax(axis=1) == 0).mean() >= 0.8


def check_lime_names_the_cause(subject: DetectorUnderCheck) -> None:
    """The feature with the anomaly has the largest coefficient in a local linear model of the raw score."""
    panel, label = with_anomalies(subject.after(N_TEST), *ANOMALIES)
    rows = np.flatnonzero(label)[10:60:10]
    found = subject.fitted.explain(panel, rows, method="lime")
    assert found.attributions.shape == (len(rows), subject.n_features)
    np.testing.assert_allclose(found.raw, subject.fitted.decision_function(panel)[rows], rtol=1e-4, atol=1e-6)
    assert (found.attributions.argmax(axis=1) == 0).mean() >= 0.8


def check_follows_the_conventions_of_pyod(subject: DetectorUnderCheck) -> None:
    """Attributes, predictions and parameters are those that tools of PyOD and scikit-learn expect."""
    fitted, panel = subject.fitted, subject.test
    assert fitted.decision_scores_.shape == fitted.labels_.shape == (subject.training.n_rows,)
    assert set(np.unique(fitted.predict(panel))) <= {0, 1}
    np.testing.assert_allclose(fitted.predict_proba(panel).sum(axis=1), 1.0)
    assert repr(clone(subject.detector).get_params()) == repr(subject.detector.get_params())


def check_refuses_rows_before_it_is_fitted(subject: DetectorUnderCheck) -> None:
    """Scoring before fitting says that `fit` comes first."""
    try:
        clone(subject.detector).score(subject.test)
    except NotFitted:
        return
    raise AssertionError("it scored rows without having been fitted")
