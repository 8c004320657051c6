"""LSTM that predicts the values of each feature some minutes ahead [1]_.

.. [1] Malhotra et al., "Long short term memory networks for anomaly detection in time series", ESANN 2015.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.detectors._backward import lstm_slopes
from foreshock_models.detectors._forward import lstm_forward
from foreshock_models.detectors._network import EXCESS, Array, Given, NetworkDetector, after, before
from foreshock_models.detectors._space import Float, Int, Space

if TYPE_CHECKING:
    from foreshock_models.detectors._nets import LSTMNet

__all__ = ["LSTM"]


class LSTM(NetworkDetector):
    """Predicts each row from rows some minutes before it; what it did not expect is anomalous.

    The horizon is what makes it see more than spikes: from the row just before, nearly every anomaly that lasts
    is easily predicted.

    See `NetworkDetector` for how residuals become the score. `expect` gives the predicted value of each
    feature, with a band of three standard deviations of its usual error.

    Parameters
    ----------
    window
        Rows that are seen, to predict one.
    horizon
        Seconds from the last row that is seen to the predicted one; at least one step.
    hidden
        Width of the LSTM.

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

    def _build(self, n_features: int) -> LSTMNet:
        from foreshock_models.detectors._nets import LSTMNet

        return LSTMNet(n_features, self.hidden, self.window)

    def _shapes(self, n_features: int) -> dict[str, tuple[int, ...]]:
        gates = 4 * self.hidden
        return {
            "lstm.weight_ih_l0": (gates, n_features),
            "lstm.weight_hh_l0": (gates, self.hidden),
            "lstm.bias_ih_l0": (gates,),
            "lstm.bias_hh_l0": (gates,),
            "head.weight": (n_features, self.hidden),
            "head.bias": (n_features,),
            "keep": (n_features,),
        }

    def _packed(self, weights: dict[str, Array]) -> tuple[Array, ...]:
        of_inputs, of_state, bias_in, bias_state = (
            weights[f"lstm.{name}"] for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        )
        both, bias = np.concatenate([of_inputs.T, of_state.T]), bias_in + bias_state
        # sigmoid(v) = (1 + tanh(v / 2)) / 2: one function for all four gates, of which the third is a tanh
        scale = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), self.hidden)
        share = 0.5 + 0.5 * np.tanh(0.5 * weights["keep"])
        # in rows: with few windows, the product with a matrix in columns takes twice as long
        return np.ascontiguousarray(both * scale), bias * scale, weights["head.weight"], weights["head.bias"], share

    def _predict_rows(self, x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]) -> Array:
        found: Array = lstm_forward(x, starts, rows, self._span, self.window, self.packed_)
        return found

    def _raw_rows(self, given: Given) -> NDArray[np.float64]:
        found: NDArray[np.float64] = _raw_rows(given, self.usual_, self.window, self.packed_)
        return found

    def _slopes(self, windows: Array, weights: Array, usual: Array) -> Array:
        slopes: Array = lstm_slopes(windows, weights, usual, EXCESS, self.window, self.packed_)
        return slopes


@njit(cache=True, nogil=True)
def _raw_rows(
    given: Given, usual: NDArray[np.float64], steps: int, weights: tuple[Array, ...]
) -> NDArray[np.float64]:
    """`NetworkDetector._raw_rows`, without a way back to Python between its parts."""
    x, known, needed, starts, place, counts = before(*given)
    predicted = lstm_forward(x, starts, needed, given[-1], steps, weights)
    return after(x, known, needed, predicted, usual, place, counts)
