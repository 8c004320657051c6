"""Architectures of networks: how a network is built, how kernels take its weights, and its passes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels.compiled.activations import Array
from foreshock_models.kernels.compiled.residuals import Inputs

if TYPE_CHECKING:
    from foreshock_models.detectors._torch_nets import Net

__all__ = ["Architecture"]


class Architecture(ABC):
    """A network that says what the last row of a window should be.

    torch trains it, and scores it on a GPU. On the CPU, kernels do, so that a process that only scores and explains
    never loads torch.

    Parameters
    ----------
    n_features
        Columns of its windows.
    span
        Rows of its windows, from the first that the network sees to the one that it predicts.
    """

    def __init__(self, n_features: int, span: int) -> None:
        self.n_features = n_features
        self.span = span

    @abstractmethod
    def build(self) -> Net:
        """Return the network in torch, untrained."""

    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight, by its name in torch."""

    @abstractmethod
    def pack(self, weights: dict[str, Array]) -> tuple[Any, ...]:
        """Return the weights as kernels take them."""

    @abstractmethod
    def predict(
        self, packed: tuple[Any, ...], x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Array:
        """Return the prediction for `rows` ``(n,)`` of the inputs `x`: ``(n, n_features)``.

        Parameters
        ----------
        starts
            ``(n,)``: first row of the entity of each of `rows`; before it, that row is repeated.
        """

    @abstractmethod
    def raw_scores(
        self, packed: tuple[Any, ...], inputs: Inputs, usual: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return raw scores ``(n,)`` from unscaled values, in one compiled call.

        Parameters
        ----------
        inputs
            Arguments of `kernels.compiled.residuals.prepare`.
        usual
            ``(n_features,)``: usual size of the residuals.
        """

    @abstractmethod
    def gradients(self, packed: tuple[Any, ...], windows: Array, weights: Array, usual: Array) -> Array:
        """Return the gradient of the weighted excess of the residuals ``(n, span, n_features)``.

        Parameters
        ----------
        windows
            ``(n, span, n_features)``.
        weights
            ``(n, n_features)``.
        """
