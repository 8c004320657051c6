"""Choose where synthetic anomalies go, and inject them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import ConfigError, NotEnoughData, allowed
from foreshock_models.injection.anomaly_types import ANOMALY_TYPES
from foreshock_models.panel import Panel

__all__ = ["InjectedAnomaly", "InjectedPanel", "inject"]

GAP = 3
"""Between two anomalies of an entity lie at least so many times the rows of the longer one."""
LONGEST_SHARE = 0.08
"""No anomaly lasts longer than this share of its entity's rows."""
MIN_ROWS = 60
ATTEMPTS = 20
"""Places tried for the first anomaly of an entity with few rows, or with gaps, before it gets none."""


@dataclass(frozen=True, slots=True)
class InjectedAnomaly:
    """One anomaly: the rows ``start:stop`` of the panel, in these features."""

    type: str
    entity: str
    start: int
    stop: int
    features: tuple[str, ...]


@dataclass(frozen=True)
class InjectedPanel:
    """Rows with anomalies in them.

    Parameters
    ----------
    label
        ``(n_rows,)``: true for anomalous rows.
    anomalies
        In the order of their first rows.
    """

    panel: Panel
    label: NDArray[np.bool_]
    anomalies: tuple[InjectedAnomaly, ...]

    @property
    def weight(self) -> NDArray[np.float64]:
        """Weight of each row ``(n_rows,)``: 1 if normal; each anomaly weighs as much as any other, however long."""
        weight = np.ones(self.panel.n_rows)
        if self.anomalies:
            each = self.label.sum() / len(self.anomalies)
            for anomaly in self.anomalies:
                weight[anomaly.start : anomaly.stop] = each / (anomaly.stop - anomaly.start)
        return weight


def inject(
    panel: Panel, *, seed: int = 0, share: float = 0.06, types: Sequence[str] | None = None
) -> InjectedPanel:
    """Inject synthetic anomalies into rows that are taken as normal.

    The types take turns over all entities, so that each is injected about equally often. Place, features and size
    of an anomaly are drawn from `seed`: the same rows with the same seed give the same anomalies. Gaps stay gaps,
    and a metric that is never negative stays so.

    Parameters
    ----------
    share
        Share of all rows that becomes anomalous, approximately.
    types
        Names from `ANOMALY_TYPES`; default: all.

    Raises
    ------
    ConfigError
        An unknown type, or a share that is not above 0 and at most 0.3.
    NotEnoughData
        No entity has enough rows with a sample.

    Examples
    --------
    >>> import numpy as np
    >>> rows = Panel.of(np.random.default_rng(0).normal(size=(2000, 3)))
    >>> injected = inject(rows, seed=1)
    >>> sorted({a.type for a in injected.anomalies})[:3]
    ['broken correlation', 'level shift', 'lost season']
    >>> bool(0.02 < injected.label.mean() < 0.12)
    True
    """
    chosen = _chosen_types(types, panel.n_features)
    if not 0 < share <= 0.3:
        raise ConfigError(f"the share of anomalous rows must be above 0 and at most 0.3; got {share}")
    rng = np.random.default_rng(seed)
    values = panel.values.copy()
    label = np.zeros(panel.n_rows, np.bool_)
    turns = _turns(rng, chosen)
    anomalies: list[InjectedAnomaly] = []
    for e in rng.permutation(panel.n_entities).tolist():
        block = slice(int(panel.offsets[e]), int(panel.offsets[e + 1]))
        varying = _varying_features(panel.values[block])
        if block.stop - block.start < MIN_ROWS or len(varying) == 0:
            continue
        for name, rows in _places(rng, turns, panel.values[block], share):
            columns = np.sort(rng.permutation(varying)[: rng.integers(1, ANOMALY_TYPES[name].most_features + 1)])
            for j in columns.tolist():
                _change(rng, name, panel.values[block][:, j], values[block][:, j], rows)
            start, stop = block.start + rows.start, block.start + rows.stop
            label[start:stop] = True
            features = tuple(panel.features[j] for j in columns.tolist())
            anomalies.append(InjectedAnomaly(name, panel.entities[e], start, stop, features))
    if not anomalies:
        raise NotEnoughData(
            f"no anomaly could be injected: none of {panel.n_entities} entities has {MIN_ROWS} rows of a metric "
            "that varies; take a longer history"
        )
    changed = Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)
    return InjectedPanel(changed, label, tuple(sorted(anomalies, key=lambda a: a.start)))


def _chosen_types(types: Sequence[str] | None, n_features: int) -> tuple[str, ...]:
    chosen = tuple(ANOMALY_TYPES if types is None else types)
    for name in chosen:
        if name not in ANOMALY_TYPES:
            raise ConfigError(f"no type of anomaly {name!r}; {allowed(name, ANOMALY_TYPES)}")
    if n_features == 1:
        return tuple(name for name in chosen if not ANOMALY_TYPES[name].needs_other_features)
    return chosen


def _turns(rng: np.random.Generator, types: Sequence[str]) -> Iterator[str]:
    while True:
        yield from (types[i] for i in rng.permutation(len(types)).tolist())


def _varying_features(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Features with samples in most rows that are not constant; constant ones only where there are no others."""
    known = np.flatnonzero((~np.isnan(values)).mean(axis=0) > 0.5)
    varying = [j for j in known.tolist() if np.nanmax(values[:, j]) > np.nanmin(values[:, j])]
    return np.array(varying, dtype=np.int64) if varying else known


def _places(
    rng: np.random.Generator, turns: Iterator[str], values: NDArray[np.float64], share: float
) -> Iterator[tuple[str, slice]]:
    """Types and rows for one entity: in time order, normal rows between them, until the share is reached."""
    n_rows = len(values)
    wanted, injected, attempts = share * n_rows, 0, 0
    at = int(rng.integers(0, max(1, n_rows // 20)))
    while injected < wanted:
        name = next(turns)
        low, high = np.log(ANOMALY_TYPES[name].rows)
        longest = max(4, round(LONGEST_SHARE * n_rows))
        length = min(round(float(np.exp(rng.uniform(low, high)))), longest)
        at += round(length * rng.uniform(GAP, max(GAP, 1.5 / share - GAP)))
        if at + length > n_rows:
            if injected or attempts == ATTEMPTS:
                return
            attempts += 1
            at = int(rng.integers(0, n_rows - length + 1))  # few rows: the first one goes anywhere
        rows = slice(at, at + length)
        at += length
        if np.isnan(values[rows]).all(axis=1).mean() < 0.5:
            yield name, rows
            injected += length


def _change(
    rng: np.random.Generator, name: str, before: NDArray[np.float64], after: NDArray[np.float64], rows: slice
) -> None:
    if np.isnan(before).all():
        return
    new = ANOMALY_TYPES[name].change(rng, before, rows)
    after[rows] = np.maximum(new, 0.0) if np.nanmin(before) >= 0 else new
