"""Figure of one explained row: the features that raised its raw score, and those that lowered it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock_models.display import utc
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Explains", "explanation_figure", "plot_row"]

# Okabe and Ito's palette: https://jfly.uni-koeln.de/color/
RAISED, LOWERED, GREY = "#D55E00", "#0072B2", "#666666"


class Explains(Protocol):
    """A fitted detector, as far as the figure needs it."""

    features_in_: tuple[str, ...]

    def decision_function(self, X: Any, *, entities: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return raw scores ``(n_rows,)``."""

    def explain(self, X: Any, rows: ArrayLike | None = None) -> Explanation:
        """Return the attributions of some rows."""

    def usual(self, X: Any) -> Any:
        """Return the usual values; ``expected`` is ``(n_rows, n_features)``."""


def plot_row(detector: Explains, X: Any, row: int | None = None, *, entities: ArrayLike | None = None) -> Figure:
    """Explain one row of `X` by `detector`, and plot it; default: the row with the highest raw score."""
    panel = Panel.of(X, entities=entities).require(detector.features_in_)
    chosen = int(np.argmax(detector.decision_function(panel))) if row is None else range(panel.n_rows)[row]
    usual = detector.usual(panel).expected[chosen]
    return explanation_figure(detector.explain(panel, [chosen]), panel.values[chosen], usual)


def explanation_figure(
    explanation: Explanation, observed: NDArray[np.float64], usual: NDArray[np.float64], *, shown: int = 12
) -> Figure:
    """Plot a bar for each feature, the largest on top, with its observed and its usual value.

    Parameters
    ----------
    explanation
        Of a single row.
    observed, usual
        ``(n_features,)`` values of the row; NaN where there is none.
    shown
        So many features at most; the others are one bar.
    """
    import matplotlib.pyplot as plt

    values = explanation.attributions[0]
    order = np.argsort(-np.abs(values), kind="stable")
    first, rest = (order, order[:0]) if len(order) <= shown else (order[: shown - 1], order[shown - 1 :])
    labels = [f"{explanation.features[i]}\n{_value(observed[i])}, usual {_value(usual[i])}" for i in first]
    bars = [float(v) for v in values[first]]
    if len(rest):
        labels.append(f"{len(rest)} other features")
        bars.append(float(values[rest].sum()))
    figure, axis = plt.subplots(figsize=(8, 0.5 * len(bars) + 1.5), layout="constrained")
    drawn = axis.barh(labels, bars, color=[RAISED if v > 0 else LOWERED for v in bars], height=0.62)
    axis.bar_label(drawn, [f"{v:+.3g}" for v in bars], padding=4, fontsize="small")
    axis.axvline(0.0, color=GREY, lw=0.8)
    axis.margins(x=0.18)
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_xlabel("attribution to the raw score: raised (right), lowered (left)")
    where = [] if explanation.entities is None else [explanation.entities[0]]
    when = [] if explanation.timestamps is None else [f"{utc(int(explanation.timestamps[0]))} UTC"]
    figure.suptitle(", ".join([*where, *when]), x=0.01, ha="left", fontsize="medium", weight="bold")
    error = float(explanation.additivity_error[0])
    off = f", off by {error:.2g}" if error > 1e-6 else ""
    axis.set_title(
        f"raw score {explanation.raw[0]:.4g} = base {explanation.base[0]:.4g} + attributions "
        f"{values.sum():.4g}{off}",
        loc="left", fontsize="small", color=GREY,
    )  # fmt: skip
    return figure


def _value(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3g}"
