from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from foreshock_models.detectors import Ensemble, IForest, Scores, Subspace
from foreshock_models.panel import Panel
from foreshock_models.state import State
from foreshock_pipelines.datasets.demo import demo_fleet

HOUR = 3_600_000


def scores_of(score: np.ndarray, entities: tuple[str, ...] = ("a",)) -> Scores:
    """Scores of rows a minute apart, the entities having as many rows each."""
    each = len(score) // len(entities)
    panel = Panel(
        np.ones((len(score), 1)),
        np.arange(len(entities) + 1, dtype=np.int64) * each,
        entities,
        ("cpu",),
        np.tile(np.arange(each, dtype=np.int64) * 60_000 + 400_000 * HOUR, len(entities)),
    )
    return Scores(panel, score, score * 10, np.zeros(len(score), bool), State())


def test_an_anomaly_begins_at_the_third_row_of_five_and_ends_at_the_last_one_over_the_line() -> None:
    score = np.zeros(100)
    score[10:20] = 1.5
    score[15] = 3.0
    score[50:52] = 9.0  # two of five: none
    (found,) = scores_of(score).anomalies().to_dict("records")
    first = datetime.fromtimestamp(400_000 * 3600, UTC)
    assert (found["start"].to_pydatetime() - first).total_seconds() == 12 * 60
    assert (found["end"].to_pydatetime() - first).total_seconds() == 19 * 60
    assert found["minutes"] == 7
    assert found["peak"] == 3.0


def test_anomalies_stand_by_peak_and_each_of_an_entity_is_its_own() -> None:
    score = np.zeros(200)
    score[10:20], score[60:70], score[150:160] = 1.5, 2.5, 2.0
    found = scores_of(score, ("a", "b")).anomalies()
    assert found["peak"].tolist() == [2.5, 2.0, 1.5]
    assert found["entity"].tolist() == ["a", "b", "a"]


def test_the_text_says_what_was_found_and_the_page_shows_it() -> None:
    score = np.zeros(100)
    assert "nothing over the line" in repr(scores_of(score))
    score[10:20] = 1.5
    assert "1 anomaly, the highest 1.50 on a" in repr(scores_of(score))
    assert "<table" in scores_of(score)._repr_html_()


def test_scores_become_a_frame_with_a_column_for_each_member() -> None:
    windows, _ = demo_fleet(hosts=2, days=0.2)
    model = Ensemble({"iforest": IForest(n_trees=5), "subspace": Subspace(window=4)}).fit(windows)
    frame = model.score(windows).to_pandas()
    assert list(frame.columns) == ["timestamp", "entity", "score", "iforest", "subspace", "raw", "warming"]
    assert len(frame) == windows.n_rows
    assert frame["timestamp"].iloc[0].to_pydatetime() == windows.start


def test_since_takes_a_time_as_well_as_milliseconds() -> None:
    windows, _ = demo_fleet(hosts=2, days=0.2)
    model = IForest(n_trees=5).fit(windows)
    since = windows.to_panel().timestamps[200]
    by_time = model.score(windows, since=datetime.fromtimestamp(since / 1000, UTC))
    assert np.array_equal(by_time.score, model.score(windows, since=int(since)).score)
    assert by_time.panel.timestamps.min() == since


@pytest.mark.parametrize("show", [repr, lambda model: model._repr_html_()])
def test_a_detector_says_whether_it_is_fitted(show: object) -> None:
    windows, _ = demo_fleet(hosts=2, days=0.2)
    model = IForest(n_trees=5)
    assert "n_trees=5" in show(model)
    assert "fitted on" not in show(model)
    assert "fitted on 2 entities x 6 features" in show(model.fit(windows))
