"""One explained row as a picture: what raised its raw score, and what lowered it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock_models.display import utc
from foreshock_models.explain.explanation import Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["explanation_figure"]

# Okabe and Ito's palette: https://jfly.uni-koeln.de/color/
RAISED, LOWERED, GREY = "#D55E00", "#0072B2", "#666666"


def explanation_figure(
    explanation: Explanation, observed: NDArray[np.float64], usual: NDArray[np.float64], *, shown: int = 12
) -> Figure:
    """A bar for each feature, the largest on top, with what was observed and what is usual.

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
