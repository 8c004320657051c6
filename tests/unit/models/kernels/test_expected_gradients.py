from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.kernels.inputs import seeds

from foreshock_models.kernels.compiled import expected_gradients as compiled
from foreshock_models.kernels.reference import expected_gradients as reference

sizes = st.integers(1, 4)


@settings(deadline=None)
@given(st.tuples(sizes, sizes, sizes, sizes, sizes, sizes), seeds)
def test_paths_and_their_sums_are_those_of_the_reference(sizes: tuple[int, ...], seed: int) -> None:
    n, count, n_paths, n_points, span, f = sizes
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    rows, starts = draw(n, span + count - 1, f), draw(count, n_paths, span, f)
    mask = (rng.random((n, count, f)) < 0.8).astype(np.float32)
    alphas = rng.random((count, n_paths, n_points)).astype(np.float32)
    found, expected = (module.interpolate(rows, mask, starts, alphas) for module in (compiled, reference))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[1], expected[1])
    gradients = draw(*found[0].shape)
    sums = [module.integrate(rows, starts, gradients) for module in (compiled, reference)]
    np.testing.assert_allclose(*sums, rtol=1e-5, atol=1e-5)


@settings(deadline=None)
@given(seeds)
def test_along_a_constant_gradient_the_sum_is_exact(seed: int) -> None:
    """Completeness: attributions of a linear function add up to its difference from the mean of the background."""
    rng = np.random.default_rng(seed)
    slope = rng.normal(size=(3, 2)).astype(np.float32)
    rows, starts = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 3, 2), (1, 5, 3, 2)))
    gradients = np.broadcast_to(slope, (2 * 5 * 4, 3, 2)).astype(np.float32)
    found = compiled.integrate(rows, starts, gradients).sum(axis=1)
    expected = (rows * slope).sum(axis=(1, 2)) - (starts[0] * slope).sum(axis=(1, 2)).mean()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
