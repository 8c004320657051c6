"""Variational autoencoder over windows [1]_.

.. [1] Xu et al., "Unsupervised anomaly detection via variational auto-encoder for seasonal KPIs in web
   applications", WWW 2018.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foreshock_models.detectors._forward import vae_forward
from foreshock_models.detectors._network import NetworkDetector
from foreshock_models.detectors._space import Float, Int, Space
from foreshock_models.detectors._windows import Stacked

__all__ = ["VAE"]


class _Net(nn.Module):
    def __init__(self, window: int, n_features: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.n_features = n_features
        size = window * n_features
        self.encoder = nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, size))

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        code = self.encoder(windows.flatten(1))  # (B, W, F) -> (B, H)
        mean, log_variance = self.mean(code), self.log_variance(code).clamp(-8, 4)
        noise = _noise(mean) * (0.5 * log_variance).exp() if self.training else 0.0
        return self.decoder(mean + noise).reshape(windows.shape), mean, log_variance

    @cached_property
    def weights(self) -> tuple[tuple[NDArray[np.float32], ...], tuple[NDArray[np.float32], ...]]:
        """Weights and biases as `vae_forward` takes them; in the same memory, so that they change with them."""
        names = ("encoder.0", "encoder.2", "mean", "decoder.0", "decoder.2")
        weights = [self.get_parameter(f"{name}.weight").detach().numpy() for name in names]
        biases = [self.get_parameter(f"{name}.bias").detach().numpy() for name in names]
        last = slice(-self.n_features, None)  # of the last layer, what makes the last row
        return (*weights[:-1], weights[-1][last]), (*biases[:-1], biases[-1][last])


class VAE(NetworkDetector):
    """Squeezes a window through a few latent numbers and back; what does not survive is anomalous.

    See `NetworkDetector` for how residuals become the score. At scoring, the latent mean is decoded: no noise.

    Parameters
    ----------
    latent
        Latent numbers; default: grows with the number of features.
    beta
        Weight of the Kullback-Leibler term.
    noise
        Standard deviation of the noise on training inputs, in scaled units: the network learns to undo it.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(600, 3)) * 0.1
    >>> x[500:510] += 3
    >>> scores = VAE(epochs=5).fit(x[:400]).decision_function(x)
    >>> bool(scores[500:510].max() > scores[:490].max())
    True
    """

    name = "vae"
    net_: _Net

    def __init__(
        self,
        *,
        window: int = 8,
        hidden: int = 96,
        latent: int | None = None,
        beta: float = 1e-3,
        noise: float = 0.1,
        epochs: int = 25,
        patience: int = 3,
        max_windows: int = 16_000,
        learning_rate: float = 2e-3,
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
        self.latent = latent
        self.beta = beta
        self.noise = noise

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        return {
            "window": Int(2, 32, 8, log=True),
            "hidden": Int(32, 192, 96, log=True),
            "latent": Int(1, 32, _latent(n_features), log=True),
            "beta": Float(1e-4, 1e-1, 1e-3, log=True),
            "noise": Float(0.01, 0.5, 0.1, log=True),
            "learning_rate": Float(5e-4, 5e-3, 2e-3, log=True),
            "smoothing": Int(1, 60, 8, log=True),
        }

    def _build(self, n_features: int) -> nn.Module:
        latent = self.latent or _latent(n_features)
        return _Net(self.window, n_features, self.hidden, latent)

    def _predict(self, windows: Tensor) -> Tensor:
        rebuilt: Tensor = self.net_(windows)[0]
        return rebuilt[:, -1]

    def _predict_rows(self, windows: Stacked, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = vae_forward(
            windows.x, windows.starts[rows], rows, self._span, *self.net_.weights
        )
        return found

    def _loss(self, windows: Tensor, known: Tensor) -> Tensor:
        given = windows + self.noise * _noise(windows) if self.net_.training else windows
        rebuilt, mean, log_variance = self.net_(given)
        error = nn.functional.smooth_l1_loss(rebuilt, windows, reduction="none")
        fit = (error * known).sum() / known.sum().clamp(min=1.0)
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(dim=1).mean()
        return fit + self.beta * divergence


def _latent(n_features: int) -> int:
    return min(16, max(2, n_features // 3 + 1))


def _noise(like: Tensor) -> Tensor:
    """Normal noise of that shape, drawn on the CPU: one seed gives the same on every device."""
    return torch.randn(like.shape).to(like.device)
