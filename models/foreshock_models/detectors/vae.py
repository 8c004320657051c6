"""Variational autoencoder over windows [1]_.

.. [1] Xu et al., "Unsupervised anomaly detection via variational auto-encoder for seasonal KPIs in web
   applications", WWW 2018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._architecture import Architecture
from foreshock_models.detectors._network import NetworkDetector
from foreshock_models.detectors._search_space import Float, Int, Space
from foreshock_models.kernels.compiled import vae as kernel
from foreshock_models.kernels.compiled.activations import Array
from foreshock_models.kernels.compiled.residuals import Inputs

if TYPE_CHECKING:
    from foreshock_models.detectors._torch_nets import VAENet

__all__ = ["VAE", "VAEArchitecture"]


class VAE(NetworkDetector):
    """Variational autoencoder that reconstructs a window from a few latent numbers; what is lost is anomalous.

    Scoring decodes the latent mean, without noise. See `NetworkScorer` for how residuals become the score.

    Parameters
    ----------
    window
        Rows that the network sees and reconstructs.
    hidden
        Width of its layers.
    latent
        Latent numbers; default: grows with the number of features.
    beta
        Weight of the Kullback-Leibler term.
    noise
        Standard deviation of the noise on training inputs, in scaled units: the network learns to remove it.
    epochs, patience, max_windows, learning_rate, batch_size, smoothing, device
        As in `NetworkDetector`.
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Seed; the same seed gives the same model.

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
    def check_cases(cls) -> Sequence[Self]:
        return (cls(epochs=20, max_windows=2000),)

    def skipped_checks(self) -> Mapping[str, str]:
        reason = (
            "a window of one feature has too few values to be hard to reconstruct: a raised level is copied "
            "(area under the ROC curve .64), and many anomalous rows score 0"
        )
        return {"check_beats_chance[1]": reason, "check_attributions_add_up_and_name_the_cause[1]": reason}

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        return {
            "window": Int(2, 32, 8, log=True),
            "hidden": Int(32, 192, 96, log=True),
            "latent": Int(1, 32, _default_latent(n_features), log=True),
            "beta": Float(1e-4, 1e-1, 1e-2, log=True),
            "noise": Float(0.01, 0.5, 0.1, log=True),
            "learning_rate": Float(5e-4, 5e-3, 2e-3, log=True),
            "smoothing": Int(1, 60, 8, log=True),
        }

    def _architecture(self, n_features: int, span: int) -> VAEArchitecture:
        latent = self.latent or _default_latent(n_features)
        return VAEArchitecture(n_features, span, self.hidden, latent, self.beta, self.noise)


class VAEArchitecture(Architecture):
    """Two layers to the latent mean and variance, two layers back; `beta` and `noise` are of training only."""

    def __init__(self, n_features: int, span: int, hidden: int, latent: int, beta: float, noise: float) -> None:
        super().__init__(n_features, span)
        self.hidden = hidden
        self.latent = latent
        self.beta = beta
        self.noise = noise

    def build(self) -> VAENet:
        from foreshock_models.detectors._torch_nets import VAENet

        return VAENet(self.span, self.n_features, self.hidden, self.latent, self.beta, self.noise)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        size = self.span * self.n_features
        layers = {
            "encoder.0": (self.hidden, size),
            "encoder.2": (self.hidden, self.hidden),
            "mean": (self.latent, self.hidden),
            "log_variance": (self.latent, self.hidden),
            "decoder.0": (self.hidden, self.latent),
            "decoder.2": (size, self.hidden),
        }
        shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": shape for name, shape in layers.items()}
        return shapes | {f"{name}.bias": shape[:1] for name, shape in layers.items()}

    def pack(self, weights: dict[str, Array]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        names = ("encoder.0", "encoder.2", "mean", "decoder.0", "decoder.2")
        layers, biases = ([weights[f"{name}.{part}"] for name in names] for part in ("weight", "bias"))
        last = slice(-self.n_features, None)  # of the last layer, the part that makes the last row
        return (*layers[:-1], layers[-1][last]), (*biases[:-1], biases[-1][last])

    def predict(
        self, packed: tuple[Any, ...], x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Array:
        found: Array = kernel.predict(x, starts, rows, self.span, *packed)
        return found

    def raw_scores(
        self, packed: tuple[Any, ...], inputs: Inputs, usual: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        found: NDArray[np.float64] = kernel.raw_scores(inputs, usual, *packed)
        return found

    def gradients(self, packed: tuple[Any, ...], windows: Array, weights: Array, usual: Array) -> Array:
        found: Array = kernel.gradients(windows, weights, usual, *packed)
        return found


def _default_latent(n_features: int) -> int:
    return min(16, max(2, n_features // 3 + 1))
