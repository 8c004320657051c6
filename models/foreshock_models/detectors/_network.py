"""What the network detectors share: windows, gaps, residuals, expected gradients.

torch is imported to train, and to score on a GPU: a process that scores and explains on the CPU never loads it.
"""

from __future__ import annotations

import ctypes
from abc import abstractmethod
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.detectors._base import HOLD_BACK, Detector, Expectation
from foreshock_models.detectors._windows import Stacked, mean_before, rows_before, rows_needed
from foreshock_models.errors import ArtifactError
from foreshock_models.explain.explanation import Explanation
from foreshock_models.explain.gradients import ExpectedGradients
from foreshock_models.panel import Panel
from foreshock_models.scaling import Scaler

if TYPE_CHECKING:
    import torch

    from foreshock_models.detectors._nets import Net
    from foreshock_models.detectors._training import Team

__all__ = ["Array", "Given", "NetworkDetector", "after", "before"]

Array = NDArray[np.float32]
Given = tuple[
    NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64],
    NDArray[np.int64], int, int,
]  # fmt: skip

BATCH = 4096
"""Windows in one pass on a GPU."""
DRIVERS = ("libcuda.so.1", "libamdhip64.so", "nvcuda.dll")
"""What is there where torch may find a GPU."""
CLIP = 6.0
"""Scaled inputs beyond this say no more: a network extrapolates badly."""
EXCESS = 8.0
"""A feature's residual counts at most so many times its usual size."""
BACKGROUND = 16
USUAL, LEAST = 0.95, 0.2
"""What is usual for a feature: this quantile of its residuals, at least so much in scaled units."""
EARLY = 0.85
"""Share of an entity's rows, the oldest, that weights are trained on; the rest says when to stop."""


class NetworkDetector(Detector):
    """A network that says what each feature should be, from a window of rows; residuals make the score.

    Residuals are scaled feature by feature with what is usual in training, and in those of its rows that the
    weights were not trained on, so that a feature that is hard to predict does not drown the others. The raw score
    is the mean over the features of how far the scaled residual exceeds its usual size, averaged over the last
    `smoothing` rows.

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
        ``"auto"`` takes a GPU where there is one, to train and to score; explanations are made on the CPU.

    Attributes
    ----------
    weights_ : by the names that torch gives them
    losses_ : on the newest rows, after each epoch
    """

    weights_: dict[str, Array]
    losses_: list[float]
    gradients_: ExpectedGradients | None = None
    """Made at the first explanation."""
    placed_: Net | None = None
    """The network on a GPU, made at the first score there."""
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
    def _build(self, n_features: int) -> Net:
        """The network in torch, untrained."""

    @abstractmethod
    def _shapes(self, n_features: int) -> dict[str, tuple[int, ...]]:
        """The shape of each of `weights_`."""

    @abstractmethod
    def _packed(self, weights: dict[str, Array]) -> tuple[Any, ...]:
        """The weights as the machine code takes them."""

    @abstractmethod
    def _predict_rows(self, x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]) -> Array:
        """What the rows of `x` that are numbered `rows` ``(n,)`` should be, by `packed_`: ``(n, F)``.

        ``starts`` ``(n,)``: where the entity of each begins; before it, its first row is repeated.
        """

    @abstractmethod
    def _raw_rows(self, given: Given) -> NDArray[np.float64]:
        """Raw score ``(n,)`` by `packed_`, all of it at once; `given` is what `before` takes."""

    @abstractmethod
    def _slopes(self, windows: Array, weights: Array, usual: Array) -> Array:
        """Gradient ``(B, span, F)`` of the sum of ``weights * _parts(windows, usual)``.

        ``windows`` ``(B, span, F)``; ``weights`` ``(B, F)``; `usual` ``(F,)``.
        """

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
        from foreshock_models.detectors._training import train

        self.scaler_ = Scaler.fit(panel)
        self.span_ = self._span_for(panel.step)
        x, known = self._inputs(panel)
        windows, masks = Stacked(x, panel, self._span), Stacked(known, panel, self._span)
        order = panel.positions
        lengths = np.repeat(panel.lengths, panel.lengths)
        late = order >= EARLY * lengths
        train(self, panel.n_features, windows, masks, late, lambda w: self._settle(w, windows, known, late))
        rng = np.random.default_rng(self.random_state)
        span = self._span + self.smoothing - 1
        wide = Stacked(x, panel, span)
        self.background_ = wide[rng.choice(len(wide), size=min(BACKGROUND, len(wide)), replace=False)]

    def _settle(self, weights: dict[str, Array], windows: Stacked, known: Array, late: NDArray[np.bool_]) -> None:
        """Take these weights, and the usual size of residuals under them."""
        self._take(weights)
        self._measure(windows.x, known, windows.starts, late)

    def _gauge(self, panel: Panel, held_back: NDArray[np.bool_]) -> None:
        older = np.bincount(panel.codes[~held_back], minlength=panel.n_entities)[panel.codes]
        x, known = self._inputs(panel)
        starts = np.repeat(panel.offsets[:-1], panel.lengths)
        self._measure(x, known, starts, panel.positions >= EARLY * older)

    def _measure(self, x: Array, known: Array, starts: NDArray[np.int64], unseen: NDArray[np.bool_]) -> None:
        """Take the usual size of residuals; ``unseen`` ``(n_rows,)``: rows that weights were not trained on."""
        unseen = unseen if unseen.any() else np.ones_like(unseen)
        residual = np.abs(x - self._forward(x, starts, np.arange(len(x))).astype(np.float64))
        residual[known == 0] = np.nan
        self.usual_ = np.maximum(_usual(residual[unseen]), _usual(residual))
        spread = np.sqrt(_mean_square(residual[unseen]))
        self.band_ = np.where(np.isfinite(spread), spread, 1.0)

    def _take(self, weights: dict[str, Array]) -> None:
        self.weights_ = weights
        self.packed_ = self._packed(weights)
        self.gradients_ = None
        self.placed_ = None

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return self._smoothed(panel, None)

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._smoothed(panel, rows)

    def _smoothed(self, panel: Panel, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """Raw score of `rows` (None: all) ``(n,)``; the network runs only where the score looks."""
        scaler, device = self.scaler_, self._gpu
        given: Given = (
            panel.values,
            panel.offsets,
            scaler.rows_of(panel.entities),
            scaler.center,
            scaler.spread,
            np.arange(panel.n_rows) if rows is None else rows,
            self.smoothing,
            self._span,
        )
        if device is None:
            return self._raw_rows(given)
        x, known, needed, starts, place, counts = before(*given)
        predicted = self._forward_on(device, x, starts, needed)
        found: NDArray[np.float64] = after(x, known, needed, predicted, self.usual_, place, counts)
        return found

    def _expect(self, panel: Panel) -> Expectation:
        x, _ = self._inputs(panel)
        every = rows_before(panel, None, 1)
        predicted = self._forward(x, every.starts, every.rows).astype(np.float64)
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
        raw = self._smoothed(panel, rows)
        if self.gradients_ is None:
            usual = self.usual_.astype(np.float32)
            self.gradients_ = ExpectedGradients(
                partial(self._parts, usual=usual), partial(self._slopes, usual=usual), self.background_, self._span,
                self.random_state,
            )  # fmt: skip
        attributions, base = self.gradients_.explain(inputs, masks, used)
        return Explanation(panel.features, attributions, base, raw)

    def _parts(self, windows: Array, usual: Array) -> Array:
        """What each feature of the last row adds to the raw score: ``(B, span, F)`` -> ``(B, F)``."""
        n, span, f = windows.shape
        starts = np.arange(n) * span
        predicted = self._predict_rows(windows.reshape(-1, f), starts, starts + span - 1)
        parts: Array = np.clip(np.abs(windows[:, -1] - predicted) / usual - 1.0, 0.0, EXCESS)
        return parts

    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        entities, arrays = self.scaler_.to_arrays()
        weights = {f"net.{name}": value for name, value in self.weights_.items()}
        own = {"usual": self.usual_, "band": self.band_, "background": self.background_}
        values = {"entities": entities, "losses": self.losses_, "n_features": len(self.usual_), "span": self.span_}
        return values, {**arrays, **weights, **own}

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.scaler_ = Scaler.from_arrays(values["entities"], arrays)
        self.losses_, self.span_ = values["losses"], values["span"]
        self.usual_, self.band_, self.background_ = arrays["usual"], arrays["band"], arrays["background"]
        weights = {k.removeprefix("net."): v for k, v in arrays.items() if k.startswith("net.")}
        expected = self._shapes(values["n_features"])
        if {name: value.shape for name, value in weights.items()} != expected:
            raise ArtifactError(f"the weights of {self.name} do not have the shapes that its parameters say")
        self._take({name: value.astype(np.float32) for name, value in weights.items()})

    # -- inside ----------------------------------------------------------------------------------------
    @property
    def _gpu(self) -> torch.device | None:
        """Where to score, if not on the CPU."""
        if self.device == "cpu" or (self.device == "auto" and not _has_driver()):
            return None
        from foreshock_models.detectors._nets import device_of

        device = device_of(self.device)
        return None if device.type == "cpu" else device

    def _inputs(self, panel: Panel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scaled rows with gaps carried forward, at most a window long, then 0; and which samples are known."""
        scaler = self.scaler_
        entities = scaler.rows_of(panel.entities)
        x, known = _filled(panel.values, panel.offsets, entities, scaler.center, scaler.spread, self._span)
        return x, known

    def _forward(self, x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]) -> Array:
        """What `rows` of the scaled `x` should be, ``(n, F)``; ``starts`` as in `_predict_rows`."""
        device = self._gpu
        return self._predict_rows(x, starts, rows) if device is None else self._forward_on(device, x, starts, rows)

    def _forward_on(
        self, device: torch.device, x: Array, starts: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Array:
        import torch

        if self.placed_ is None:
            net = self._build(x.shape[1])
            net.load_state_dict({name: torch.from_numpy(value) for name, value in self.weights_.items()})
            self.placed_ = net.eval().to(device)
        back = np.arange(-self._span + 1, 1)
        parts = []
        with torch.inference_mode():
            for i in range(0, len(rows), BATCH):
                some = slice(i, i + BATCH)
                windows = x[np.maximum(rows[some, None] + back, starts[some, None])]  # (n, span, F)
                parts.append(self.placed_.predict(torch.from_numpy(windows).to(device)).cpu().numpy())
        return np.concatenate(parts)


@njit(cache=True, nogil=True)
def before(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
    rows: NDArray[np.int64],
    smoothing: int,
    span: int,
) -> tuple[Array, Array, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What the raw score of `rows` needs: `_filled` rows, and what they look at (`rows_needed`)."""
    x, known = _filled(values, offsets, entities, center, spread, span)
    needed, starts, place, counts = rows_needed(offsets, rows, smoothing)
    return x, known, needed, starts, place, counts


@njit(cache=True, nogil=True)
def after(
    x: Array,
    known: Array,
    needed: NDArray[np.int64],
    predicted: Array,
    usual: NDArray[np.float64],
    place: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The raw score ``(n,)``, of what a network predicts for the rows that it needs."""
    return mean_before(_excess(x, known, needed, predicted, usual), place, counts).ravel()


@njit(cache=True, nogil=True)
def _filled(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
    longest: int,
) -> tuple[Array, Array]:
    """See `NetworkDetector._inputs`; ``entities`` ``(n_entities,)``: the row of each in `center` and `spread`."""
    n, f = values.shape
    x = np.zeros((n, f), np.float32)
    known = np.zeros((n, f), np.float32)
    last = np.empty(f, np.int64)
    for e in range(len(offsets) - 1):
        own = entities[e]
        last[:] = offsets[e] - longest
        for i in range(offsets[e], offsets[e + 1]):
            for j in range(f):
                z = (values[i, j] - center[own, j]) / spread[own, j]
                if z == z:
                    x[i, j] = min(max(z, -CLIP), CLIP)
                    known[i, j] = 1.0
                    last[j] = i
                elif i - last[j] < longest:
                    x[i, j] = x[last[j], j]
    return x, known


@njit(cache=True, nogil=True)
def _excess(
    x: Array, known: Array, rows: NDArray[np.int64], predicted: Array, usual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean over the features of what each adds to the raw score of `rows`: ``(n, 1)``."""
    f = x.shape[1]
    out = np.zeros((len(rows), 1))
    for n in range(len(rows)):
        for j in range(f):
            if known[rows[n], j] > 0:
                residual = abs(np.float64(x[rows[n], j]) - np.float64(predicted[n, j]))
                out[n, 0] += min(max(residual / usual[j] - 1.0, 0.0), EXCESS) / f
    return out


@cache
def _has_driver() -> bool:
    """Whether a GPU may be here: to ask torch would be to load it."""
    for name in DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def _usual(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """The usual size of each feature's residual, NaN being no residual."""
    out = np.empty(residual.shape[1])
    for j, column in enumerate(residual.T):
        values = column[~np.isnan(column)]
        out[j] = np.quantile(values, USUAL) if len(values) else 1.0
    return np.maximum(out, LEAST)


def _mean_square(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    count = np.maximum((~np.isnan(residual)).sum(axis=0), 1)
    mean: NDArray[np.float64] = np.nansum(residual**2, axis=0) / count
    return mean
