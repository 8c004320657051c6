"""Expected gradients: SHAP values of a differentiable score [1]_.

.. [1] Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and
   expected gradients", Nature Machine Intelligence 2021.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["expected_gradients"]

POINTS = 48
"""Points on the ways from background windows to an input, for each score that is explained."""
LEAST = 4
"""Points for one window at least."""
BATCH = 4096
"""Windows in one pass of the network."""

Parts = Callable[[Tensor], Tensor]


def expected_gradients(
    parts: Parts,
    inputs: NDArray[np.float32],
    known: NDArray[np.float32],
    used: NDArray[np.int64],
    background: NDArray[np.float32],
    span: int,
    device: torch.device,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Attributions per feature of a score that is a mean over windows and features.

    A score is the mean over its last `used` windows of the mean over the features of `parts`. By linearity each
    window is explained on its own; so the points are shared out among them: each window goes all the way from some
    background windows of its own choice.

    Parameters
    ----------
    parts
        ``(B, span, F)`` windows -> ``(B, F)``: what each feature of the last row adds.
    inputs, known
        ``(n, span + k - 1, F)``: rows of the `k` windows to explain, and which of their samples are known.
    used
        ``(n,)``: how many of the `k` windows count, the last ones.
    background
        ``(b, span + k - 1, F)``: usual inputs.

    Returns
    -------
    attributions ``(n, F)``, base ``(n,)``: the mean score of the background.
    """
    k = inputs.shape[1] - span + 1
    usual = torch.as_tensor(background, device=device).unfold(1, span, 1).transpose(2, 3)  # (b, k, span, F)
    attributions = np.empty((len(inputs), inputs.shape[2]))
    base = np.empty(len(inputs))
    for count in np.unique(used).tolist():
        each = max(LEAST, POINTS // count)
        generator = np.random.default_rng(seed)
        chosen = np.stack([generator.permutation(len(background))[:each] for _ in range(k)])[k - count :]
        alphas = _alphas(count, chosen.shape[1], max(1, each // len(background)), generator, device)
        late = usual[chosen, np.arange(k - count, k)[:, None]]  # (count, b, span, F)
        with torch.inference_mode():
            rest = parts(late.reshape(-1, *late.shape[2:])).reshape(*chosen.shape, -1).mean(dim=1).cpu().numpy()
        rows = np.flatnonzero(used == count)
        size = max(1, BATCH // alphas[..., 0, 0].numel())
        for some in np.array_split(rows, -(-len(rows) // size)):
            mask = known[some, -count:]  # (n, count, F): the last row of each window
            base[some] = (rest * mask).mean(axis=(1, 2))
            x = torch.as_tensor(np.ascontiguousarray(inputs[some]), device=device)
            here = x.unfold(1, span, 1).transpose(2, 3)[:, k - count :]  # (n, count, span, F)
            away = (here[:, :, None] - late)[:, :, :, None]  # (n, count, b, 1, span, F)
            way = (late[:, :, None] + alphas * away).requires_grad_(True)  # (n, count, b, steps, span, F)
            found = parts(way.reshape(-1, *way.shape[-2:])).reshape(*way.shape[:4], -1)
            weights = torch.as_tensor(mask, device=device)[:, :, None, None]
            (gradient,) = torch.autograd.grad((found * weights).mean(dim=-1).sum(), way)
            attributions[some] = (away * gradient).sum(dim=4).mean(dim=(1, 2, 3)).cpu().numpy()
    return attributions, base


def _alphas(
    windows: int, background: int, steps: int, generator: np.random.Generator, device: torch.device
) -> Tensor:
    """How far along each way the points lie ``(windows, b, steps, 1, 1)``: one in each of ``b * steps`` strata."""
    n = background * steps
    strata = generator.permuted(np.tile(np.arange(n), (windows, 1)), axis=1)
    fractions = ((strata + generator.random((windows, n))) / n).reshape(windows, background, steps, 1, 1)
    return torch.as_tensor(fractions, dtype=torch.float32, device=device)
