from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.kernels.inputs import seeds

from foreshock_models.kernels.compiled import activations as compiled
from foreshock_models.kernels.reference import activations as reference


@settings(deadline=None)
@given(st.floats(-100, 100, width=32))
def test_tanh_is_that_of_numpy_to_float32(x: float) -> None:
    rows = np.array([[x]], np.float32)
    compiled.add_bias_tanh(rows, np.zeros(1, np.float32))
    assert abs(rows[0, 0] - reference.tanh(np.float32(x))) < 5e-7
    assert abs(rows[0, 0]) <= 1.0 + 1e-6


@settings(deadline=None)
@given(seeds)
def test_layers_are_those_of_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, bias = rng.normal(0, 5, (9, 33)).astype(np.float32), rng.normal(size=33).astype(np.float32)
    for name in ("add_bias_tanh", "add_bias_silu"):
        found, expected = rows.copy(), rows.copy()
        getattr(compiled, name)(found, bias)
        getattr(reference, name)(expected, bias)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)  # silu: |v| times the error of tanh
