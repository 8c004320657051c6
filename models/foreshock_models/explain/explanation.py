"""Attributions: how much each feature drove a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock_models.display import frame_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Explanation"]


@dataclass(frozen=True, repr=False)
class Explanation:
    """SHAP attributions of raw scores, by default distributed by recent change; see `Explainer.explain`.

    Parameters
    ----------
    features
        Names, one per column.
    attributions
        ``(n_rows, n_features)``: how much each feature raised (> 0) or lowered (< 0) the raw score.
    base
        ``(n_rows,)``: expected raw score; ``base + attributions.sum(1)`` is the raw score up to `additivity_error`.
    raw
        ``(n_rows,)`` raw scores.
    timestamps, entities
        ``(n_rows,)``, where known: milliseconds since the epoch, and names.

    Examples
    --------
    >>> found = Explanation(("cpu", "memory"), np.array([[0.9, 0.1]]), np.zeros(1), np.ones(1))
    >>> found.top(0, 1)
    [('cpu', 0.9)]
    >>> found
    Explanation(1 row x 2 features; raised by cpu 90%, memory 10%)
    """

    features: tuple[str, ...]
    attributions: NDArray[np.float64]
    base: NDArray[np.float64]
    raw: NDArray[np.float64]
    timestamps: NDArray[np.int64] | None = None
    entities: tuple[str, ...] | None = None

    @property
    def additivity_error(self) -> NDArray[np.float64]:
        """Absolute difference between the raw score and base plus attributions ``(n_rows,)``."""
        error: NDArray[np.float64] = np.abs(self.base + self.attributions.sum(axis=1) - self.raw)
        return error

    def top(self, row: int, k: int | None = None) -> list[tuple[str, float]]:
        """Return the features that raised the score of `row`, the largest first."""
        values = self.attributions[row]
        order = np.argsort(-values, kind="stable")[:k]
        return [(self.features[i], float(values[i])) for i in order if values[i] > 0]

    def shares(self) -> NDArray[np.float64]:
        """Return the share of each feature in what raised the score ``(n_rows, n_features)``."""
        raised = np.maximum(self.attributions, 0.0)
        shares: NDArray[np.float64] = raised / np.maximum(raised.sum(axis=1, keepdims=True), 1e-12)
        return shares

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per explained row: timestamp, entity, one attribution per feature, base and raw."""
        import pandas as pd

        columns: dict[str, object] = {}
        if self.timestamps is not None:
            columns["timestamp"] = pd.to_datetime(self.timestamps, unit="ms", utc=True)
        if self.entities is not None:
            columns["entity"] = self.entities
        columns |= dict(zip(self.features, self.attributions.T, strict=True))
        return pd.DataFrame({**columns, "base": self.base, "raw": self.raw})

    def __repr__(self) -> str:
        if len(self.raw) == 0:
            return "Explanation(no rows)"
        share = self.shares().mean(axis=0)
        order = np.argsort(-share, kind="stable")[:3]
        causes = ", ".join(f"{self.features[i]} {share[i]:.0%}" for i in order if share[i] > 0) or "nothing"
        rows = f"{len(self.raw)} row{'s' if len(self.raw) != 1 else ''}"
        return f"Explanation({rows} x {len(self.features)} features; raised by {causes})"

    def _repr_html_(self) -> str:
        return frame_html(repr(self), self.to_pandas())
