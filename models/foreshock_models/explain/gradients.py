"""Expected gradients: SHAP values of a differentiable score [1]_.

.. [1] Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and
   expected gradients", Nature Machine Intelligence 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ExpectedGradients"]

POINTS = 48
"""Points on the ways from background windows to an input, for each score that is explained."""
LEAST = 4
"""Points for one window at least."""
BATCH = 512
"""Windows in one pass of the network: what it keeps for the way back stays in the cache."""

Parts = Callable[[Tensor], Tensor]


class ExpectedGradients:
    """Attributions per feature of a score that is a mean over windows and features.

    A score is the mean over its last windows of the mean over the features of `parts`. By linearity each window is
    explained on its own; so the points are shared out among them: each window goes all the way from some background
    windows of its own choice. What does not depend on the rows that are explained is made once.

    Parameters
    ----------
    parts
        ``(B, span, F)`` windows -> ``(B, F)``: what each feature of the last row adds.
    background
        ``(b, span + k - 1, F)``: usual inputs of scores that are means over `k` windows.
    """

    def __init__(
        self, parts: Parts, background: NDArray[np.float32], span: int, device: torch.device, seed: int
    ) -> None:
        self.parts = parts
        self.span = span
        self.device = device
        self.seed = seed
        self.usual = self._windows(background)  # (b, k, span, F)
        self.ways: dict[int, _Ways] = {}

    def explain(
        self, inputs: NDArray[np.float32], known: NDArray[np.float32], used: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Explain `n` scores.

        Parameters
        ----------
        inputs, known
            ``(n, span + k - 1, F)``: rows of the `k` windows to explain, and which of their samples are known.
        used
            ``(n,)``: how many of the `k` windows count, the last ones.

        Returns
        -------
        attributions ``(n, F)``, base ``(n,)``: the mean score of the background.
        """
        attributions = np.empty((len(inputs), inputs.shape[2]))
        base = np.empty(len(inputs))
        for count in np.unique(used).tolist():
            if count not in self.ways:
                self.ways[count] = self._ways(count)
            ways = self.ways[count]
            rows = np.flatnonzero(used == count)
            size = max(1, BATCH // ways.alphas[..., 0, 0].numel())
            for some in np.array_split(rows, -(-len(rows) // size)):
                mask = known[some, -count:]  # (n, count, F): the last row of each window
                base[some] = (ways.rest * mask).mean(axis=(1, 2))
                attributions[some] = self._attributions(ways, self._windows(inputs[some])[:, -count:], mask)
        return attributions, base

    def _ways(self, count: int) -> _Ways:
        k = self.usual.shape[1]
        each = max(LEAST, POINTS // count)
        generator = np.random.default_rng(self.seed)
        chosen = np.stack([generator.permutation(len(self.usual))[:each] for _ in range(k)])[k - count :]
        alphas = _alphas(count, chosen.shape[1], max(1, each // len(self.usual)), generator, self.device)
        starts = self.usual[chosen, np.arange(k - count, k)[:, None]]  # (count, b, span, F)
        with torch.inference_mode():
            rest = self.parts(starts.reshape(-1, *starts.shape[2:])).reshape(*chosen.shape, -1).mean(dim=1)
        return _Ways(starts, alphas, rest.cpu().numpy())

    def _attributions(self, ways: _Ways, here: Tensor, mask: NDArray[np.float32]) -> NDArray[np.float64]:
        away = (here[:, :, None] - ways.starts)[:, :, :, None]  # (n, count, b, 1, span, F)
        way = (ways.starts[:, :, None] + ways.alphas * away).requires_grad_(True)  # (n, count, b, steps, span, F)
        found = self.parts(way.reshape(-1, *way.shape[-2:])).reshape(*way.shape[:4], -1)
        weights = torch.as_tensor(mask, device=self.device)[:, :, None, None]
        (gradient,) = torch.autograd.grad((found * weights).mean(dim=-1).sum(), way)
        attributions: NDArray[np.float64] = (away * gradient).sum(dim=4).mean(dim=(1, 2, 3)).cpu().numpy()
        return attributions

    def _windows(self, rows: NDArray[np.float32]) -> Tensor:
        """``(n, span + k - 1, F)`` -> ``(n, k, span, F)``."""
        x = torch.as_tensor(np.ascontiguousarray(rows), device=self.device)
        return x.unfold(1, self.span, 1).transpose(2, 3)


@dataclass(frozen=True)
class _Ways:
    """Where the ways to a score of ``count`` windows begin, and which points of them are looked at.

    ``starts`` ``(count, b, span, F)``; ``alphas`` as `_alphas` gives them; ``rest`` ``(count, F)``: what each
    feature adds at the starts, on average.
    """

    starts: Tensor
    alphas: Tensor
    rest: NDArray[np.float32]


def _alphas(
    windows: int, background: int, steps: int, generator: np.random.Generator, device: torch.device
) -> Tensor:
    """How far along each way the points lie ``(windows, b, steps, 1, 1)``: one in each of ``b * steps`` strata."""
    n = background * steps
    strata = generator.permuted(np.tile(np.arange(n), (windows, 1)), axis=1)
    fractions = ((strata + generator.random((windows, n))) / n).reshape(windows, background, steps, 1, 1)
    return torch.as_tensor(fractions, dtype=torch.float32, device=device)
