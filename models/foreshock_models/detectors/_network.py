"""What the network detectors share: windows, gaps, training, residuals, expected gradients."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foreshock_models.detectors._base import HOLD_BACK, Detector, Expectation
from foreshock_models.detectors._windows import Stacked, carried, rows_before
from foreshock_models.explain.explanation import Explanation
from foreshock_models.explain.gradients import ExpectedGradients
from foreshock_models.panel import Panel
from foreshock_models.scaling import Scaler

__all__ = ["NetworkDetector", "Team"]

BATCH = 4096
CLIP = 6.0
"""Scaled inputs beyond this say no more: a network extrapolates badly."""
EXCESS = 8.0
"""A feature's residual counts at most so many times its usual size."""
BACKGROUND = 16
EARLY = 0.85
"""Share of an entity's rows, the oldest, that weights are trained on; the rest says when to stop."""


class Team(Protocol):
    """Processes that train one network together: each takes its share of every batch.

    All hold the same rows and the same seed, so that they draw the same batches.
    """

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def join(self, net: nn.Module) -> nn.Module:
        """The same network, beginning as rank 0's, its gradients averaged over the processes."""

    def mean(self, value: float) -> float:
        """Mean of a number over the processes."""


class NetworkDetector(Detector):
    """A network that says what each feature should be, from a window of rows; residuals make the score.

    Residuals are scaled feature by feature with those of rows that the weights were not trained on, so that a
    feature that is hard to predict does not drown the others. The raw score is the mean over the features of
    how far the scaled residual exceeds its usual size, averaged over the last `smoothing` rows.

    Parameters
    ----------
    window
        Rows that the network sees.
    hidden
        Width of its layers.
    epochs, patience
        At most so many passes over the training windows; stop after `patience` passes without gain on the
        held-back tail, and take the best weights.
    max_windows
        Training windows per epoch, drawn at random from all.
    learning_rate, batch_size
        Of the optimiser (Adam).
    smoothing
        Rows over which the score is averaged.
    device
        ``"auto"`` takes a GPU where there is one.
    """

    net_: nn.Module
    losses_: list[float]
    gradients_: ExpectedGradients | None = None
    """Made at the first explanation."""
    on_epoch: Callable[[int, Callable[[], Self]], None] | None = None
    """Called after each epoch with its number, from 1 on, and a function that gives the detector as it stands, able
    to say raw scores; what it raises ends the training."""
    team: Team | None = None
    """Who trains together with this process; None: nobody."""

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

    # -- hooks of a subclass ---------------------------------------------------------------------------
    @abstractmethod
    def _build(self, n_features: int) -> nn.Module:
        """The network, untrained."""

    @abstractmethod
    def _predict(self, windows: Tensor) -> Tensor:
        """``(B, span, F)`` scaled, gaps filled -> ``(B, F)``: what the last row should be."""

    @abstractmethod
    def _predict_rows(self, windows: Stacked, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """`_predict` for the windows that end at `rows` ``(n,)``, in machine code on the CPU: ``(n, F)``."""

    @abstractmethod
    def _loss(self, windows: Tensor, known: Tensor) -> Tensor:
        """Training loss of a batch; ``known`` ``(B, span, F)`` is 0 where a sample is missing."""

    # -- Detector's hooks ------------------------------------------------------------------------------
    @property
    def context(self) -> int:
        return self._span + self.smoothing - 2

    @property
    def _span(self) -> int:
        """Rows from the first that the network sees to the one that it speaks of."""
        return getattr(self, "span_", self.window)

    def _span_for(self, step: float) -> int:
        """`_span` for rows `step` seconds apart."""
        return self.window

    def learns_from(self, n_rows: int) -> int:
        return self.epochs * min(self.max_windows, round(n_rows * (1.0 - HOLD_BACK) * EARLY))

    def _fit(self, panel: Panel) -> None:
        self.scaler_ = Scaler.fit(panel)
        self.span_ = self._span_for(panel.step)
        self.gradients_ = None
        x, known = self._inputs(panel)
        windows, masks = Stacked(x, panel, self._span), Stacked(known, panel, self._span)
        order = panel.positions
        lengths = np.repeat(panel.lengths, panel.lengths)
        late = order >= EARLY * lengths
        with torch.random.fork_rng():
            torch.manual_seed(self.random_state)
            self.net_ = self._build(panel.n_features).to(self._device())
            settle = partial(self._settle, windows, known, late)
            self._train(windows, masks, np.flatnonzero(~late), np.flatnonzero(late), settle)
        settle()
        rng = np.random.default_rng(self.random_state)
        span = self._span + self.smoothing - 1
        wide = Stacked(x, panel, span)
        self.background_ = wide[rng.choice(len(wide), size=min(BACKGROUND, len(wide)), replace=False)]

    def _settle(self, windows: Stacked, known: NDArray[np.float32], late: NDArray[np.bool_]) -> Self:
        """Take the usual size of residuals under the weights as they are."""
        late_rows = late if late.any() else np.ones_like(late)
        residual = np.abs(self._residuals(windows, known, np.arange(len(known))))
        seen = np.where(known > 0, residual, np.nan)
        self.usual_ = np.maximum(_usual(seen[late_rows]), _usual(seen))
        spread = np.sqrt(_mean_square(seen[late_rows]))
        self.band_ = np.where(np.isfinite(spread), spread, 1.0)
        return self

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return self._smoothed(panel, None)

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._smoothed(panel, rows)

    def _smoothed(self, panel: Panel, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Raw score of `rows` (None: all) ``(n,)``; the network runs only where the score looks."""
        x, known = self._inputs(panel)
        needed = rows_before(panel, rows, self.smoothing)
        residual = np.abs(self._residuals(Stacked(x, panel, self._span), known, needed.rows))
        parts = np.clip(residual / self.usual_ - 1.0, 0.0, EXCESS) * known[needed.rows]
        return needed.smooth(parts.mean(axis=1, keepdims=True))[:, 0]

    def _expect(self, panel: Panel) -> Expectation:
        x, _ = self._inputs(panel)
        predicted = self._forward(Stacked(x, panel, self._span), np.arange(panel.n_rows))
        width = 3.0 * self.band_
        return Expectation(
            self.scaler_.inverse(predicted, panel),
            self.scaler_.inverse(predicted - width, panel),
            self.scaler_.inverse(predicted + width, panel),
        )

    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        x, known = self._inputs(panel)
        span = self._span + self.smoothing - 1
        inputs, masks = Stacked(x, panel, span)[rows], Stacked(known, panel, span)[rows]
        used = np.minimum(panel.positions[rows] + 1, self.smoothing)
        raw = self._decision_at(panel, rows)
        if self.gradients_ is None:
            self.net_.requires_grad_(False)  # gradients are of the inputs alone
            self.gradients_ = ExpectedGradients(
                self._parts_of, self.background_, self._span, self._device(), self.random_state
            )
        attributions, base = self.gradients_.explain(inputs, masks, used)
        return Explanation(panel.features, attributions, base, raw)

    def _parts_of(self, windows: Tensor) -> Tensor:
        """What each feature of the last row adds to the raw score: ``(B, span, F)`` -> ``(B, F)``."""
        usual = torch.as_tensor(self.usual_, dtype=windows.dtype, device=windows.device)
        residual = (windows[:, -1] - self._predict(windows)).abs() / usual
        return (residual - 1.0).clamp(0.0, EXCESS)

    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        entities, arrays = self.scaler_.to_arrays()
        weights = {f"net.{name}": value.detach().cpu().numpy() for name, value in self.net_.state_dict().items()}
        own = {"usual": self.usual_, "band": self.band_, "background": self.background_}
        values = {"entities": entities, "losses": self.losses_, "n_features": len(self.usual_), "span": self.span_}
        return values, {**arrays, **weights, **own}

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.scaler_ = Scaler.from_arrays(values["entities"], arrays)
        self.losses_, self.span_ = values["losses"], values["span"]
        self.usual_, self.band_, self.background_ = arrays["usual"], arrays["band"], arrays["background"]
        self.net_ = self._build(values["n_features"]).to(self._device())
        weights = {
            k.removeprefix("net."): torch.from_numpy(v.copy()) for k, v in arrays.items() if k.startswith("net.")
        }
        self.net_.load_state_dict(weights)
        self.net_.eval()
        self.gradients_ = None

    # -- inside ----------------------------------------------------------------------------------------
    def _device(self) -> torch.device:
        if self.device != "auto":
            chosen = torch.device(self.device)
        else:
            chosen = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if chosen.type == "cuda":
            # cuDNN's LSTM rounds to ten bits by default: scores would differ from the CPU's in the third digit
            torch.backends.cudnn.allow_tf32 = False
        return chosen

    def _inputs(self, panel: Panel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scaled rows with gaps carried forward, at most a window long, then 0; and which samples are known."""
        scaled = self.scaler_.transform(panel)
        filled = carried(scaled, panel, self._span)
        return np.clip(filled, -CLIP, CLIP).astype(np.float32), (~np.isnan(scaled)).astype(np.float32)

    def _train(
        self,
        windows: Stacked,
        known: Stacked,
        early: NDArray[Any],
        late: NDArray[Any],
        settle: Callable[[], Self],
    ) -> None:
        """Adam with early stopping on the newest rows; the best weights are kept."""
        rng = np.random.default_rng(self.random_state)
        late = rng.permutation(late)[: self.max_windows // 2]
        net, team = self.net_, self.team
        if team is not None:
            self.net_ = team.join(net)
            torch.manual_seed(self.random_state + team.rank)  # the noise on each share is its own
        optimiser = torch.optim.Adam(net.parameters(), lr=self.learning_rate)
        best, best_weights, waited = math.inf, None, 0
        self.losses_ = []
        for epoch in range(1, self.epochs + 1):
            self.net_.train()
            chosen = rng.permutation(early)[: self.max_windows]
            for part in np.array_split(chosen, max(1, len(chosen) // self.batch_size)):
                mine = self._share(part)
                loss = self._loss(self._tensor(windows[mine]), self._tensor(known[mine]))
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
            self.net_.eval()
            with torch.inference_mode():
                rows = self._share(late if len(late) else chosen)
                held = float(self._loss(self._tensor(windows[rows]), self._tensor(known[rows])))
            if team is not None:
                held = team.mean(held)  # so that all stop at the same pass
            self.losses_.append(held)
            if self.on_epoch is not None:
                self.on_epoch(epoch, settle)
            if held < best * 0.995:
                best, waited = held, 0
                best_weights = {k: v.detach().clone() for k, v in net.state_dict().items()}
            elif (waited := waited + 1) >= self.patience:
                break
        self.net_ = net
        if best_weights is not None:
            net.load_state_dict(best_weights)
        net.eval()

    def _share(self, rows: NDArray[Any]) -> NDArray[Any]:
        """This process's part of `rows`; all of them where it would get none."""
        if self.team is None or len(rows) < self.team.size:
            return rows
        return rows[self.team.rank :: self.team.size]

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device())

    def _forward(self, windows: Stacked, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What `rows` should be, ``(n, F)`` scaled."""
        if self._device().type == "cpu":
            return self._predict_rows(windows, rows).astype(np.float64)
        with torch.inference_mode():
            parts = [
                self._predict(self._tensor(windows[rows[i : i + BATCH]])).cpu().numpy()
                for i in range(0, len(rows), BATCH)
            ]
        return np.concatenate(parts).astype(np.float64)

    def _residuals(
        self, windows: Stacked, known: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return (windows.x[rows] - self._forward(windows, rows)) * known[rows]


def _usual(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """The usual size of each feature's residual: its 95% quantile, NaN being no residual."""
    out = np.empty(residual.shape[1])
    for j, column in enumerate(residual.T):
        values = column[~np.isnan(column)]
        out[j] = np.quantile(values, 0.95) if len(values) else 1.0
    return np.maximum(out, 0.02)


def _mean_square(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    count = np.maximum((~np.isnan(residual)).sum(axis=0), 1)
    mean: NDArray[np.float64] = np.nansum(residual**2, axis=0) / count
    return mean
