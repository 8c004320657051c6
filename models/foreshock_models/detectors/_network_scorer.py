"""Raw scores from the residuals of a network."""

from __future__ import annotations

import ctypes
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._architecture import Architecture
from foreshock_models.detectors._results import Expectation
from foreshock_models.detectors._scorer import Arrays, Scorer
from foreshock_models.detectors._windows import TrailingWindows, row_starts
from foreshock_models.explain.expected_gradients import ExpectedGradients
from foreshock_models.explain.explanation import Explanation
from foreshock_models.kernels.compiled.activations import Array
from foreshock_models.kernels.compiled.residuals import (
    Inputs,
    network_inputs,
    prepare,
    smoothed_excess,
)
from foreshock_models.kernels.constants import MAX_EXCESS
from foreshock_models.panel import Panel
from foreshock_models.scaling import Scaler

if TYPE_CHECKING:
    import torch

    from foreshock_models.detectors._torch_nets import Net

__all__ = ["TRAINED_SHARE", "NetworkScorer", "late_rows"]

TRAINED_SHARE = 0.85
"""Share of an entity's rows, the oldest, that weights are trained on; the rest decides when to stop."""
BATCH = 4096
"""Windows in one pass on a GPU."""
DRIVERS = ("libcuda.so.1", "libamdhip64.so", "nvcuda.dll")
"""Libraries of which one is present where torch may find a GPU."""
USUAL_QUANTILE, MIN_USUAL = 0.99, 0.2
"""Usual size of a feature's residuals: this quantile, and at least so much in scaled units."""
BAND = 3.0
"""Half width of the band of expected values, in standard deviations of the residual."""


class NetworkScorer(Scorer):
    """Mean over the features of what their residuals exceed their usual size by, averaged over the last rows.

    Residuals are divided, feature by feature, by their usual size in training, those rows included that the weights
    were not trained on, so that a feature that is hard to predict does not dominate the others.

    Parameters
    ----------
    architecture, weights
        The network, and its weights by their names in torch.
    scaler
        Of the inputs.
    background
        ``(n, span + smoothing - 1, n_features)``: usual inputs, for explanations.
    smoothing
        Rows over which the score is averaged.
    device
        Where to score: a name of torch, or ``"auto"`` for a GPU where there is one.
    losses
        On the newest rows, after each epoch.
    """

    usual: NDArray[np.float64]
    """``(n_features,)``: usual size of the residuals, in scaled units."""
    band: NDArray[np.float64]
    """``(n_features,)``: standard deviation of the residuals."""

    def __init__(
        self,
        architecture: Architecture,
        weights: dict[str, Array],
        scaler: Scaler,
        background: Array,
        *,
        smoothing: int,
        device: str,
        seed: int,
        losses: list[float],
    ) -> None:
        self.architecture = architecture
        self.weights = weights
        self.packed = architecture.pack(weights)
        self.scaler = scaler
        self.background = background
        self.smoothing = smoothing
        self.device = device
        self.seed = seed
        self.losses = losses
        self._gradients: ExpectedGradients | None = None  # made at the first explanation
        self._on_gpu: Net | None = None  # made at the first score there

    @property
    def context(self) -> int:
        return self.architecture.span + self.smoothing - 2

    def fit_scale(self, panel: Panel, held_back: NDArray[np.bool_]) -> None:
        self.measure_residuals(panel, late_rows(panel, ~held_back))

    def measure_residuals(self, panel: Panel, unseen: NDArray[np.bool_]) -> None:
        """Set the usual size of the residuals; ``unseen`` ``(n_rows,)``: rows that weights were not trained on."""
        unseen = unseen if unseen.any() else np.ones_like(unseen)
        x, present = self._inputs(panel)
        residual = np.abs(x - self._predict(x, row_starts(panel), np.arange(len(x))).astype(np.float64))
        residual[present == 0] = np.nan
        self.usual = np.maximum(_usual_size(residual[unseen]), _usual_size(residual))
        spread = np.sqrt(_mean_square(residual[unseen]))
        self.band = np.where(np.isfinite(spread), spread, 1.0)
        self._gradients = None

    def score(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        scaler, device = self.scaler, self._gpu
        inputs: Inputs = (
            panel.values,
            panel.offsets,
            scaler.rows_of(panel.entities),
            scaler.center,
            scaler.spread,
            np.arange(panel.n_rows) if rows is None else rows,
            self.smoothing,
            self.architecture.span,
        )
        if device is None:
            return self.architecture.raw_scores(self.packed, inputs, self.usual)
        x, present, needed, starts, places, counts = prepare(*inputs)
        predicted = self.predict_on(device, x, starts, needed)
        found: NDArray[np.float64] = smoothed_excess(x, present, needed, predicted, self.usual, places, counts)
        return found

    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        x, present = self._inputs(panel)
        span = self.architecture.span + self.smoothing - 1
        inputs, masks = TrailingWindows(x, panel, span)[rows], TrailingWindows(present, panel, span)[rows]
        used = np.minimum(panel.positions[rows] + 1, self.smoothing)
        raw = self.score(panel, rows)
        if self._gradients is None:
            usual = self.usual.astype(np.float32)
            self._gradients = ExpectedGradients(
                partial(self.excess_of, usual=usual),
                partial(self.architecture.gradients, self.packed, usual=usual),
                self.background,
                self.architecture.span,
                self.seed,
            )
        attributions, base = self._gradients.explain(inputs, masks, used)
        return Explanation(panel.features, attributions, base, raw)

    def expect(self, panel: Panel) -> Expectation:
        x, _ = self._inputs(panel)
        predicted = self._predict(x, row_starts(panel), np.arange(len(x))).astype(np.float64)
        width = BAND * self.band
        return Expectation(
            self.scaler.inverse_transform(predicted, panel),
            self.scaler.inverse_transform(predicted - width, panel),
            self.scaler.inverse_transform(predicted + width, panel),
        )

    def to_arrays(self) -> Arrays:
        entities, arrays = self.scaler.to_arrays()
        weights = {f"net.{name}": value for name, value in self.weights.items()}
        own: dict[str, NDArray[Any]] = {"usual": self.usual, "band": self.band, "background": self.background}
        values = {
            "entities": entities,
            "losses": self.losses,
            "n_features": len(self.usual),
            "span": self.architecture.span,
        }
        return values, {**arrays, **weights, **own}

    def excess_of(self, windows: Array, usual: Array) -> Array:
        """Return the excess of each feature of the last row: ``(n, span, n_features)`` -> ``(n, n_features)``."""
        n, span, f = windows.shape
        starts = np.arange(n) * span
        predicted = self.architecture.predict(self.packed, windows.reshape(-1, f), starts, starts + span - 1)
        parts: Array = np.clip(np.abs(windows[:, -1] - predicted) / usual - 1.0, 0.0, MAX_EXCESS)
        return parts

    def predict_on(
        self, device: torch.device, x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Array:
        """Return the prediction by torch; arguments as in `Architecture.predict`."""
        import torch

        if self._on_gpu is None:
            net = self.architecture.build()
            net.load_state_dict({name: torch.from_numpy(value) for name, value in self.weights.items()})
            self._on_gpu = net.eval().to(device)
        back = np.arange(-self.architecture.span + 1, 1)
        parts = []
        with torch.inference_mode():
            for i in range(0, len(rows), BATCH):
                some = slice(i, i + BATCH)
                windows = x[np.maximum(rows[some, None] + back, starts[some, None])]  # (n, span, F)
                parts.append(self._on_gpu.predict(torch.from_numpy(windows).to(device)).cpu().numpy())
        return np.concatenate(parts)

    # -- inside ----------------------------------------------------------------------------------------
    @property
    def _gpu(self) -> torch.device | None:
        """The device that scores; None: the CPU."""
        if self.device == "cpu" or (self.device == "auto" and not _has_driver()):
            return None
        from foreshock_models.detectors._torch_nets import device_of

        device = device_of(self.device)
        return None if device.type == "cpu" else device

    def _inputs(self, panel: Panel) -> tuple[Array, Array]:
        """Scaled rows, gaps filled, and which samples are present: ``(n_rows, n_features)`` each."""
        scaler, entities = self.scaler, self.scaler.rows_of(panel.entities)
        x, present = network_inputs(
            panel.values, panel.offsets, entities, scaler.center, scaler.spread, self.architecture.span
        )
        return x, present

    def _predict(self, x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]) -> Array:
        device = self._gpu
        if device is None:
            return self.architecture.predict(self.packed, x, starts, rows)
        return self.predict_on(device, x, starts, rows)


def late_rows(panel: Panel, older: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the rows after the first `TRAINED_SHARE` of each entity's `older` rows ``(n_rows,)``."""
    lengths = np.bincount(panel.codes[older], minlength=panel.n_entities)[panel.codes]
    late: NDArray[np.bool_] = panel.positions >= TRAINED_SHARE * lengths
    return late


@cache
def _has_driver() -> bool:
    """Check whether a GPU may be present, without loading torch."""
    for name in DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def _usual_size(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Usual size of each feature's residuals ``(n_features,)``; NaN is not a residual."""
    out = np.empty(residual.shape[1])
    for j, column in enumerate(residual.T):
        values = column[~np.isnan(column)]
        out[j] = np.quantile(values, USUAL_QUANTILE) if len(values) else 1.0
    return np.maximum(out, MIN_USUAL)


def _mean_square(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    count = np.maximum((~np.isnan(residual)).sum(axis=0), 1)
    mean: NDArray[np.float64] = np.nansum(residual**2, axis=0) / count
    return mean
