"""The networks in torch: to train, and to score on a GPU; kernels do it on the CPU."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LSTMNet", "Net", "VAENet", "device_of"]

Call = Callable[[Tensor], Any]


class Net(nn.Module):
    """A network that says what the last row of a window should be."""

    @abstractmethod
    def predict(self, windows: Tensor) -> Tensor:
        """Return the prediction for the last row: ``(n, span, n_features)`` -> ``(n, n_features)``."""

    @abstractmethod
    def loss(self, call: Call, windows: Tensor, present: Tensor) -> Tensor:
        """Return the training loss of a batch; ``present`` ``(n, span, n_features)`` is 0 where a sample is
        missing.

        Parameters
        ----------
        call
            Calls this network, or its wrapper where several processes train together.
        """


class LSTMNet(Net):
    """LSTM from the first rows of a window to its last one, as a change of the last row that it sees."""

    def __init__(self, n_features: int, hidden: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.lstm = nn.LSTM(n_features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, n_features)
        self.keep = nn.Parameter(torch.zeros(n_features))

    def forward(self, windows: Tensor) -> Tensor:
        rows = windows[:, : self.steps]
        states, _ = self.lstm(rows)  # (B, L, F) -> (B, L, H)
        last: Tensor = self.head(states[:, -1]) + torch.sigmoid(self.keep) * rows[:, -1]
        return last

    def predict(self, windows: Tensor) -> Tensor:
        return self.forward(windows)

    def loss(self, call: Call, windows: Tensor, present: Tensor) -> Tensor:
        error = nn.functional.smooth_l1_loss(call(windows), windows[:, -1], reduction="none")
        weight = present[:, -1]
        return (error * weight).sum() / weight.sum().clamp(min=1.0)


class VAENet(Net):
    """Autoencoder of a window through a few latent numbers; `beta` and `noise` as in `VAE`."""

    def __init__(self, window: int, n_features: int, hidden: int, latent: int, beta: float, noise: float) -> None:
        super().__init__()
        self.beta = beta
        self.noise = noise
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

    def predict(self, windows: Tensor) -> Tensor:
        return self.forward(windows)[0][:, -1]

    def loss(self, call: Call, windows: Tensor, present: Tensor) -> Tensor:
        noisy = windows + self.noise * _noise(windows) if self.training else windows
        rebuilt, mean, log_variance = call(noisy)
        error = nn.functional.smooth_l1_loss(rebuilt, windows, reduction="none")
        fit = (error * present).sum() / present.sum().clamp(min=1.0)
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(dim=1).mean()
        return fit + self.beta * divergence


def device_of(name: str) -> torch.device:
    """Return the device of that name; ``"auto"``: a GPU where torch can use one."""
    chosen = torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    if chosen.type == "cuda":
        # cuDNN's LSTM rounds to ten bits by default: scores would differ from the CPU's in the third digit
        torch.backends.cudnn.allow_tf32 = False
    return chosen


def _noise(like: Tensor) -> Tensor:
    """Normal noise of that shape, drawn on the CPU: a seed gives the same noise on every device."""
    return torch.randn(like.shape).to(like.device)
