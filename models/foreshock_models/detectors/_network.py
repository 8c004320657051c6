"""Base of the detectors that are networks: parameters, and training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._architecture import Architecture
from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._holdout import HOLD_BACK
from foreshock_models.detectors._network_scorer import TRAINED_SHARE, NetworkScorer, late_rows
from foreshock_models.detectors._windows import TrailingWindows
from foreshock_models.errors import ArtifactError
from foreshock_models.kernels.compiled.activations import Array
from foreshock_models.kernels.compiled.residuals import network_inputs
from foreshock_models.panel import Panel
from foreshock_models.saved_arrays import saved_array
from foreshock_models.scaling import Scaler

if TYPE_CHECKING:
    from foreshock_models.detectors._training import ProcessGroup

__all__ = ["NetworkDetector"]

BACKGROUND = 16
"""Training windows that explanations start from."""


class NetworkDetector(Detector):
    """A network that says what each feature should be, from a window of rows; residuals make the score.

    See `NetworkScorer` for how. A subclass writes one hook, `_architecture`.

    Parameters
    ----------
    window
        Rows that the network sees.
    hidden
        Width of its layers.
    epochs, patience
        At most so many passes over the training windows; stop after `patience` passes without gain on the newest
        rows, and keep the best weights.
    max_windows
        Training windows per epoch, drawn at random.
    learning_rate, batch_size
        Of the optimiser (Adam).
    smoothing
        Rows over which the score is averaged.
    device
        ``"auto"`` takes a GPU where there is one, to train and to score; explanations are made on the CPU.
    """

    scorer_: NetworkScorer
    on_epoch: Callable[[int, Callable[[], Self]], None] | None = None
    """Called after each epoch with its number, from 1, and a function that returns the detector with the weights as
    they are, able to give raw scores. An exception that it raises ends the training."""
    team: ProcessGroup | None = None
    """Processes that train together with this one; None: it trains alone."""

    def __init__(
        self,
        *,
        window: int,
        hidden: int,
        epochs: int,
        patience: int,
        max_windows: int,
        learning_rate: float,
        batch_size: int,
        smoothing: int,
        device: str,
        contamination: float,
        random_state: int,
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.window = window
        self.hidden = hidden
        self.epochs = epochs
        self.patience = patience
        self.max_windows = max_windows
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.smoothing = smoothing
        self.device = device

    @abstractmethod
    def _architecture(self, n_features: int, span: int) -> Architecture:
        """Return the network for rows of `n_features` features and windows of `span` rows."""

    def _span_for(self, step: float) -> int:
        """Rows of a window, up to the predicted one, for rows `step` seconds apart."""
        return self.window

    @property
    def losses_(self) -> list[float]:
        """Loss on the newest rows after each epoch."""
        return self.scorer_.losses

    def learns_from(self, n_rows: int) -> int:
        return self.epochs * min(self.max_windows, round(n_rows * (1.0 - HOLD_BACK) * TRAINED_SHARE))

    def _fit_scorer(self, panel: Panel) -> NetworkScorer:
        from foreshock_models.detectors._training import Training, train

        scaler, span = Scaler.fit(panel), self._span_for(panel.step)
        architecture = self._architecture(panel.n_features, span)
        entities = scaler.rows_of(panel.entities)
        x, present = network_inputs(panel.values, panel.offsets, entities, scaler.center, scaler.spread, span)
        background = self._draw_background(TrailingWindows(x, panel, span + self.smoothing - 1))
        late = late_rows(panel, np.ones(panel.n_rows, np.bool_))

        def scorer_of(weights: dict[str, Array], losses: list[float]) -> NetworkScorer:
            return self._scorer(architecture, weights, scaler, background, losses)

        def after_epoch(epoch: int, weights_now: Callable[[], tuple[dict[str, Array], list[float]]]) -> None:
            def detector_now() -> Any:
                self.scorer_ = scorer_of(*weights_now())
                self.scorer_.measure_residuals(panel, late)
                return self

            if self.on_epoch is not None:
                self.on_epoch(epoch, detector_now)

        training = Training(
            self.epochs, self.patience, self.max_windows, self.learning_rate, self.batch_size, self.device,
            self.random_state, after_epoch, self.team,
        )  # fmt: skip
        windows, mask = TrailingWindows(x, panel, span), TrailingWindows(present, panel, span)
        return scorer_of(*train(training, architecture.build, windows, mask, late))

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> NetworkScorer:
        architecture = self._architecture(values["n_features"], values["span"])
        shapes = architecture.shapes()
        if other := {name for name in arrays if name.startswith("net.")} - {f"net.{name}" for name in shapes}:
            raise ArtifactError(f"the saved model is damaged: {self.name} has no weights {sorted(other)[0]}")
        weights = {name: saved_array(arrays, f"net.{name}", shape, np.float32) for name, shape in shapes.items()}
        scaler = Scaler.from_arrays(values["entities"], arrays, self.n_features_in_)
        n = self.n_features_in_
        background = saved_array(arrays, "background", (None, None, n), np.float32)
        scorer = self._scorer(architecture, weights, scaler, background, values["losses"])
        scorer.usual, scorer.band = (saved_array(arrays, name, (n,)) for name in ("usual", "band"))
        return scorer

    def _scorer(
        self,
        architecture: Architecture,
        weights: dict[str, Array],
        scaler: Scaler,
        background: Array,
        losses: list[float],
    ) -> NetworkScorer:
        return NetworkScorer(
            architecture, weights, scaler, background,
            smoothing=self.smoothing, device=self.device, seed=self.random_state, losses=losses,
        )  # fmt: skip

    def _draw_background(self, windows: TrailingWindows) -> Array:
        rng = np.random.default_rng(self.random_state)
        return windows[rng.choice(len(windows), size=min(BACKGROUND, len(windows)), replace=False)]
