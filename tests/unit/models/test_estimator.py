"""Detectors and forecasters in scikit-learn's hands, though they have no base class of its."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from foreshock_models.detectors import Ensemble, IForest, PyOD
from foreshock_models.forecasters import ARIMA


def test_a_detector_works_in_a_pipeline_and_under_a_search() -> None:
    x = np.random.default_rng(0).normal(size=(300, 2))
    x[290:] += 6
    pipeline = make_pipeline(StandardScaler(), IForest(n_trees=5))
    search = GridSearchCV(
        pipeline,
        {"iforest__smoothing": [1, 3]},
        scoring=lambda model, rows, *_: model.decision_function(rows).max(),
        cv=2,
    )
    found = search.fit(x).best_estimator_
    assert found.decision_function(x)[290:].min() > np.median(found.decision_function(x))


@pytest.mark.parametrize("made", [IForest(n_trees=7), PyOD("KNN", n_neighbors=3), Ensemble(), ARIMA()], ids=str)
def test_what_is_cloned_has_the_same_parameters_and_is_shown_by_them(made: object) -> None:
    copy = clone(made)
    assert repr(copy) == repr(made)
    assert get_tags(copy).estimator_type is None


def test_a_parameter_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"IForest has no parameter 'tres'; it has n_trees"):
        IForest().set_params(tres=3)
