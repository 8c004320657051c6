"""LSTM that predicts the values of each feature some minutes ahead [1]_.

.. [1] Malhotra et al., "Long short term memory networks for anomaly detection in time series", ESANN 2015.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foreshock_models.detectors._forward import lstm_forward
from foreshock_models.detectors._network import NetworkDetector
from foreshock_models.detectors._space import Float, Int, Space
from foreshock_models.detectors._windows import Stacked

__all__ = ["LSTM"]


class _Net(nn.Module):
    """The last rows -> a later one, as a change of the last."""

    def __init__(self, n_features: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, n_features)
        self.keep = nn.Parameter(torch.zeros(n_features))

    def forward(self, rows: Tensor) -> Tensor:
        states, _ = self.lstm(rows)  # (B, L, F) -> (B, L, H)
        last: Tensor = self.head(states[:, -1]) + torch.sigmoid(self.keep) * rows[:, -1]
        return last

    @cached_property
    def weights(self) -> tuple[NDArray[np.float32], ...]:
        """As `lstm_forward` takes them; in the same memory, so that they change with the parameters."""
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        held = (*(self.lstm.get_parameter(name) for name in names), self.head.weight, self.head.bias, self.keep)
        return tuple(parameter.detach().numpy() for parameter in held)


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
    net_: _Net

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

    def _build(self, n_features: int) -> nn.Module:
        return _Net(n_features, self.hidden)

    def _predict(self, windows: Tensor) -> Tensor:
        predicted: Tensor = self.net_(windows[:, : self.window])
        return predicted

    def _predict_rows(self, windows: Stacked, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = lstm_forward(
            windows.x, windows.starts[rows], rows, self._span, self.window, self.net_.weights
        )
        return found

    def _loss(self, windows: Tensor, known: Tensor) -> Tensor:
        error = nn.functional.smooth_l1_loss(self._predict(windows), windows[:, -1], reduction="none")
        weight = known[:, -1]
        return (error * weight).sum() / weight.sum().clamp(min=1.0)
