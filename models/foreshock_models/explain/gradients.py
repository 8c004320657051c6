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

STEPS = 8
"""Points on the way from each background window to the input."""

Score = Callable[[Tensor, Tensor, Tensor], Tensor]


def expected_gradients(
    score: Score,
    inputs: NDArray[np.float32],
    known: NDArray[np.float32],
    used: NDArray[np.int64],
    background: NDArray[np.float32],
    device: torch.device,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Attributions per feature, summed over the rows of the window.

    Parameters
    ----------
    score
        ``(B, rows, F)`` inputs, which of them are known, how many rows count -> ``(B,)``.
    inputs, known
        ``(n, rows, F)``: what to explain.
    used
        ``(n,)``: how many of the last rows count in the score.
    background
        ``(b, rows, F)``: usual inputs.

    Returns
    -------
    attributions ``(n, F)``, base ``(n,)``: the mean score of the background.
    """
    generator = np.random.default_rng(seed)
    # one stratified point on the way for each background window and step: less noise than points at random
    fractions = (np.arange(STEPS)[None, :] + generator.random((len(background), STEPS))) / STEPS
    alphas = torch.as_tensor(fractions.reshape(-1, 1, 1), dtype=torch.float32, device=device)
    usual = torch.as_tensor(np.repeat(background, STEPS, axis=0), device=device)
    attributions = np.empty((len(inputs), inputs.shape[2]))
    base = np.empty(len(inputs))
    for i, (x, mask, rows) in enumerate(zip(inputs, known, used, strict=True)):
        here = torch.as_tensor(np.ascontiguousarray(x), device=device)
        masks = torch.as_tensor(np.ascontiguousarray(mask), device=device).expand(len(usual), -1, -1)
        counts = torch.full((len(usual),), float(rows), device=device)
        way = (usual + alphas * (here - usual)).requires_grad_(True)
        (gradient,) = torch.autograd.grad(score(way, masks, counts).sum(), way)
        attributions[i] = ((here - usual) * gradient).sum(dim=1).mean(dim=0).cpu().numpy()
        with torch.inference_mode():
            few = usual[::STEPS]
            base[i] = float(score(few, masks[: len(few)], counts[: len(few)]).mean())
    return attributions, base
