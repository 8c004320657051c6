"""Variational autoencoder over windows [1]_.

.. [1] Xu et al., "Unsupervised anomaly detection via variational auto-encoder for seasonal KPIs in web
   applications", WWW 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.detectors._backward import vae_slopes
from foreshock_models.detectors._forward import vae_forward
from foreshock_models.detectors._network import EXCESS, Array, Given, NetworkDetector, after, before
from foreshock_models.detectors._space import Float, Int, Space

if TYPE_CHECKING:
    from foreshock_models.detectors._nets import VAENet

__all__ = ["VAE"]


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

    def __init__(
        self,
        *,
        window: int = 8,
        hidden: int = 96,
        latent: int | None = None,
        beta: float = 1e-2,
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
            "beta": Float(1e-4, 1e-1, 1e-2, log=True),
            "noise": Float(0.01, 0.5, 0.1, log=True),
            "learning_rate": Float(5e-4, 5e-3, 2e-3, log=True),
            "smoothing": Int(1, 60, 8, log=True),
        }

    def _build(self, n_features: int) -> VAENet:
        from foreshock_models.detectors._nets import VAENet

        latent = self.latent or _latent(n_features)
        return VAENet(self.window, n_features, self.hidden, latent, self.beta, self.noise)

    def _shapes(self, n_features: int) -> dict[str, tuple[int, ...]]:
        latent, size = self.latent or _latent(n_features), self.window * n_features
        layers = {
            "encoder.0": (self.hidden, size),
            "encoder.2": (self.hidden, self.hidden),
            "mean": (latent, self.hidden),
            "log_variance": (latent, self.hidden),
            "decoder.0": (self.hidden, latent),
            "decoder.2": (size, self.hidden),
        }
        shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": shape for name, shape in layers.items()}
        return shapes | {f"{name}.bias": shape[:1] for name, shape in layers.items()}

    def _packed(self, weights: dict[str, Array]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        names = ("encoder.0", "encoder.2", "mean", "decoder.0", "decoder.2")
        layers, biases = ([weights[f"{name}.{kind}"] for name in names] for kind in ("weight", "bias"))
        last = slice(-(len(biases[-1]) // self.window), None)  # of the last layer, what makes the last row
        return (*layers[:-1], layers[-1][last]), (*biases[:-1], biases[-1][last])

    def _predict_rows(self, x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]) -> Array:
        found: Array = vae_forward(x, starts, rows, self._span, *self.packed_)
        return found

    def _raw_rows(self, given: Given) -> NDArray[np.float64]:
        found: NDArray[np.float64] = _raw_rows(given, self.usual_, *self.packed_)
        return found

    def _slopes(self, windows: Array, weights: Array, usual: Array) -> Array:
        slopes: Array = vae_slopes(windows, weights, usual, EXCESS, *self.packed_)
        return slopes


@njit(cache=True, nogil=True)
def _raw_rows(
    given: Given, usual: NDArray[np.float64], weights: tuple[Array, ...], biases: tuple[Array, ...]
) -> NDArray[np.float64]:
    """`NetworkDetector._raw_rows`, without a way back to Python between its parts."""
    x, known, needed, starts, place, counts = before(*given)
    predicted = vae_forward(x, starts, needed, given[-1], weights, biases)
    return after(x, known, needed, predicted, usual, place, counts)


def _latent(n_features: int) -> int:
    return min(16, max(2, n_features // 3 + 1))
