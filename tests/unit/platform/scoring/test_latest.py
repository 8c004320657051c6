from __future__ import annotations

from typing import Any

import numpy as np

from foreshock.scoring.latest import Latest
from foreshock_models.policy import Policy
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.rows import score_panel


def test_the_last_row_of_each_entity_with_a_sample_is_kept_with_what_is_usual(trained: Any) -> None:
    detector, _ = Registry(trained.registry).load("small")
    panel = trained.windows.to_panel()
    panel.values[panel.offsets[1] - 1] = np.nan  # the first entity's last row
    scored = score_panel(detector, "v1", panel, Policy(), since=trained.windows.end_ms - 5 * 60_000)
    latest = Latest.of(scored, detector)
    assert panel.entities[0] not in latest.entities
    assert set(latest.entities) < set(panel.entities)
    ends = dict(zip(scored.panel.entities, (scored.panel.offsets[1:] - 1).tolist(), strict=True))
    assert latest.score.tolist() == [scored.score[ends[name]] for name in latest.entities]
    expected, lower, upper = latest.usual
    assert expected.shape == (len(latest.entities), panel.n_features)
    assert (lower <= expected).all() and (expected <= upper).all()
