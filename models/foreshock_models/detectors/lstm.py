"""LSTM that predicts the values of each feature some minutes ahead [1]_.

.. [1] Malhotra et al., "Long short term memory networks for anomaly detection in time series", ESANN 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._architecture import Architecture
from foreshock_models.detectors._network import NetworkDetector
from foreshock_models.detectors._search_space import Float, Int, Space
from foreshock_models.kernels.compiled import lstm as kernel
from foreshock_models.kernels.compiled.activations import Array
from foreshock_models.kernels.compiled.residuals import Inputs

if TYPE_CHECKING:
    from foreshock_models.detectors._torch_nets import LSTMNet

__all__ = ["LSTM", "LSTMArchitecture"]


class LSTM(NetworkDetector):
    """LSTM that predicts each row from rows some minutes before it; unexpected values are anomalous.

    With a horizon it sees more than spikes: from the row just before, nearly every anomaly that lasts is easily
    predicted. `expect` returns the predicted value of each feature, with a band of three standard deviations of the
    usual error. See `NetworkScorer` for how residuals become the score.

    Parameters
    ----------
    window
        Rows that the network sees.
    horizon
        Seconds from the last row that the network sees to the predicted one; at least one step.
    hidden
        Width of the LSTM.
    epochs, patience, max_windows, learning_rate, batch_size, smoothing, device
        As in `NetworkDetector`.
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Seed; the same seed gives the same model.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.sin(np.arange(600) / 8)[:, None] + np.random.default_rng(0).normal(0, 0.05, (600, 1))
    >>> x[500:520] = 2.0
    >>> scores = LSTM(epochs=5).fit(x[:400]).decision_function(x)
    >>> bool(scores[500:520].max() > scores[:490].max())
    True
    """

    name = "lstm"

    def __init__(
        self,
        *,
        window: int = 16,
        horizon: float = 600.0,
        hidden: int = 48,
        epochs: int = 12,
        patience: int = 2,
        max_windows: int = 12_000,
        learning_rate: float = 4e-3,
        batch_size: int = 256,
        smoothing: int = 8,
        device: str = "auto",
        contamination: float = 0.01,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            window=window,
            hidden=hidden,
            epochs=epochs,
            patience=patience,
            max_windows=max_windows,
            learning_rate=learning_rate,
            batch_size=batch_size,
            smoothing=smoothing,
            device=device,
            contamination=contamination,
            random_state=random_state,
        )
        self.horizon = horizon

    @classmethod
    def check_cases(cls) -> Sequence[Self]:
        return (cls(epochs=6, max_windows=2000, hidden=24),)

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        return {
            "window": Int(6, 48, 16, log=True),
            "horizon": Float(60.0, 3600.0, 600.0, log=True),
            "hidden": Int(16, 96, 48, log=True),
            "learning_rate": Float(1e-3, 1e-2, 4e-3, log=True),
            "smoothing": Int(1, 60, 8, log=True),
        }

    def _span_for(self, step: float) -> int:
        return self.window + max(1, round(self.horizon / step))

    def _architecture(self, n_features: int, span: int) -> LSTMArchitecture:
        return LSTMArchitecture(n_features, span, self.window, self.hidden)


class LSTMArchitecture(Architecture):
    """LSTM on the first `steps` rows of a window, a linear layer, and a share of the last of these rows."""

    def __init__(self, n_features: int, span: int, steps: int, hidden: int) -> None:
        super().__init__(n_features, span)
        if not 0 < steps < span:
            raise ValueError(f"an LSTM that sees {steps} rows cannot predict the last of {span}")
        self.steps = steps
        self.hidden = hidden

    def build(self) -> LSTMNet:
        from foreshock_models.detectors._torch_nets import LSTMNet

        return LSTMNet(self.n_features, self.hidden, self.steps)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        gates, n_features = 4 * self.hidden, self.n_features
        return {
            "lstm.weight_ih_l0": (gates, n_features),
            "lstm.weight_hh_l0": (gates, self.hidden),
            "lstm.bias_ih_l0": (gates,),
            "lstm.bias_hh_l0": (gates,),
            "head.weight": (n_features, self.hidden),
            "head.bias": (n_features,),
            "keep": (n_features,),
        }

    def pack(self, weights: dict[str, Array]) -> tuple[Array, ...]:
        of_inputs, of_state, bias_in, bias_state = (
            weights[f"lstm.{name}"] for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        )
        both, bias = np.concatenate([of_inputs.T, of_state.T]), bias_in + bias_state
        # sigmoid(v) = (1 + tanh(v / 2)) / 2: one function for all four gates, of which the third is a tanh
        scale = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), self.hidden)
        share = 0.5 + 0.5 * np.tanh(0.5 * weights["keep"])
        # in rows: for few windows, the product with a matrix in columns takes twice as long
        return np.ascontiguousarray(both * scale), bias * scale, weights["head.weight"], weights["head.bias"], share

    def predict(
        self, packed: tuple[Any, ...], x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Array:
        found: Array = kernel.predict(x, starts, rows, self.span, self.steps, packed)
        return found

    def raw_scores(
        self, packed: tuple[Any, ...], inputs: Inputs, usual: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        found: NDArray[np.float64] = kernel.raw_scores(inputs, usual, self.steps, packed)
        return found

    def gradients(self, packed: tuple[Any, ...], windows: Array, weights: Array, usual: Array) -> Array:
        found: Array = kernel.gradients(windows, weights, usual, self.steps, packed)
        return found
