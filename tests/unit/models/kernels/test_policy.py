from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.kernels.inputs import Blocks, blocks, seeds

from foreshock_models.kernels.compiled.policy import advance_policy
from foreshock_models.kernels.layout import ALERT_POLICY, records
from foreshock_models.kernels.reference import policy as reference


@settings(deadline=None)
@given(st.data(), blocks(), st.integers(1, 8), seeds)
def test_steps_and_states_are_those_of_the_reference(data: st.DataObject, rows: Blocks, of: int, seed: int) -> None:
    """Over two calls, so that the second one starts with open and pending alerts."""
    rng = np.random.default_rng(seed)
    needed = data.draw(st.integers(1, of))
    resolve_ms = data.draw(st.sampled_from([60_000.0, 300_000.0, 7.2e6]))
    found, expected = (np.zeros((rows.n_entities, len(ALERT_POLICY))) for _ in range(2))
    for turn in range(2):
        score = rng.choice([0.2, 0.97, 1.0, 1.7], size=rows.n_rows)
        permitted, present = rng.random((2, rows.n_rows)) < 0.9
        times = rows.timestamps + turn * 10**9
        of_rows = (permitted, present, times, rows.offsets)
        results = [
            advance(score, of_rows, records(table, ALERT_POLICY), (needed, of), resolve_ms, 0.96)
            for advance, table in ((advance_policy, found), (reference.advance_policy, expected))
        ]
        for one, other in zip(*results, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(found, expected)
