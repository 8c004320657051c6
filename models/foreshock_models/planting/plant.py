"""Choose where anomalies go, and plant them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import ConfigError, NotEnoughData, allowed
from foreshock_models.panel import Panel
from foreshock_models.planting.kinds import KINDS

__all__ = ["Planted", "PlantedPanel", "plant"]

CALM = 3
"""Between two anomalies of an entity lie at least so many times the rows of the longer one."""
LONGEST = 0.08
"""No anomaly lasts longer than this share of its entity's rows."""
FEWEST_ROWS = 60
TRIES = 20
"""Places tried for the first anomaly of an entity with few rows, or with gaps, before it gets none."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted anomaly: the rows ``start:stop`` of the panel, in these features."""

    kind: str
    entity: str
    start: int
    stop: int
    features: tuple[str, ...]


@dataclass(frozen=True)
class PlantedPanel:
    """Rows with anomalies in them, which rows they are ``(n_rows,)``, and what was planted."""

    panel: Panel
    label: NDArray[np.bool_]
    anomalies: tuple[Planted, ...]

    @property
    def weight(self) -> NDArray[np.float64]:
        """``(n_rows,)``: normal rows count 1; each anomaly counts like an average one, however long it is."""
        weight = np.ones(self.panel.n_rows)
        if self.anomalies:
            each = self.label.sum() / len(self.anomalies)
            for anomaly in self.anomalies:
                weight[anomaly.start : anomaly.stop] = each / (anomaly.stop - anomaly.start)
        return weight


def plant(panel: Panel, *, seed: int = 0, share: float = 0.06, kinds: Sequence[str] | None = None) -> PlantedPanel:
    """Plant anomalies of several kinds into rows that are taken as normal.

    The kinds take turns over all entities, so that each is planted about equally often. Where an anomaly goes,
    in which features and how large it is, is drawn from `seed`; the same rows with the same seed give the same
    anomalies. Gaps stay gaps, and a metric that is never negative stays so.

    Parameters
    ----------
    share
        About this share of all rows becomes anomalous.
    kinds
        Names from `KINDS`; default all of them.

    Raises
    ------
    ConfigError
        An unknown kind, or a share that is not above 0 and at most 0.3.
    NotEnoughData
        No entity has enough rows with a sample.

    Examples
    --------
    >>> import numpy as np
    >>> rows = Panel.of(np.random.default_rng(0).normal(size=(2000, 3)))
    >>> planted = plant(rows, seed=1)
    >>> sorted({a.kind for a in planted.anomalies})[:3]
    ['broken correlation', 'level shift', 'lost season']
    >>> bool(0.02 < planted.label.mean() < 0.12)
    True
    """
    chosen = tuple(KINDS if kinds is None else kinds)
    for name in chosen:
        if name not in KINDS:
            raise ConfigError(f"no kind of anomaly {name!r}; {allowed(name, KINDS)}")
    if not 0 < share <= 0.3:
        raise ConfigError(f"the share of anomalous rows must be above 0 and at most 0.3; got {share}")
    if panel.n_features == 1:
        chosen = tuple(name for name in chosen if not KINDS[name].needs_others)
    rng = np.random.default_rng(seed)
    values = panel.values.copy()
    label = np.zeros(panel.n_rows, np.bool_)
    turns = _turns(rng, chosen)
    anomalies: list[Planted] = []
    order = rng.permutation(panel.n_entities)
    for e in order.tolist():
        block = slice(int(panel.offsets[e]), int(panel.offsets[e + 1]))
        moving = _moving(panel.values[block])
        if block.stop - block.start < FEWEST_ROWS or len(moving) == 0:
            continue
        for name, rows in _places(rng, turns, panel.values[block], share):
            columns = np.sort(rng.permutation(moving)[: rng.integers(1, KINDS[name].most_features + 1)])
            for j in columns.tolist():
                _change(rng, name, panel.values[block][:, j], values[block][:, j], rows)
            start, stop = block.start + rows.start, block.start + rows.stop
            label[start:stop] = True
            features = tuple(panel.features[j] for j in columns.tolist())
            anomalies.append(Planted(name, panel.entities[e], start, stop, features))
    if not anomalies:
        raise NotEnoughData(
            f"no anomaly could be planted: none of {panel.n_entities} entities has {FEWEST_ROWS} rows of a metric "
            "that moves; take a longer history"
        )
    changed = Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)
    return PlantedPanel(changed, label, tuple(sorted(anomalies, key=lambda a: a.start)))


def _turns(rng: np.random.Generator, kinds: Sequence[str]) -> Iterator[str]:
    while True:
        yield from (kinds[i] for i in rng.permutation(len(kinds)).tolist())


def _moving(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Features with samples in most rows, that are not constant; constant ones only where there is no other."""
    known = np.flatnonzero((~np.isnan(values)).mean(axis=0) > 0.5)
    moving = [j for j in known.tolist() if np.nanmax(values[:, j]) > np.nanmin(values[:, j])]
    return np.array(moving, dtype=np.int64) if moving else known


def _places(
    rng: np.random.Generator, turns: Iterator[str], values: NDArray[np.float64], share: float
) -> Iterator[tuple[str, slice]]:
    """Kinds and rows for one entity: in time order, calm rows between them, until the share is reached."""
    n_rows = len(values)
    wanted, planted, tries = share * n_rows, 0, 0
    at = int(rng.integers(0, max(1, n_rows // 20)))
    while planted < wanted:
        name = next(turns)
        low, high = np.log(KINDS[name].rows)
        longest = max(4, round(LONGEST * n_rows))
        length = min(round(float(np.exp(rng.uniform(low, high)))), longest)
        at += round(length * rng.uniform(CALM, max(CALM, 1.5 / share - CALM)))
        if at + length > n_rows:
            if planted or tries == TRIES:
                return
            tries += 1
            at = int(rng.integers(0, n_rows - length + 1))  # few rows: the first one goes anywhere
        rows = slice(at, at + length)
        at += length
        if np.isnan(values[rows]).all(axis=1).mean() < 0.5:
            yield name, rows
            planted += length


def _change(
    rng: np.random.Generator, name: str, before: NDArray[np.float64], after: NDArray[np.float64], rows: slice
) -> None:
    if np.isnan(before).all():
        return
    new = KINDS[name].change(rng, before, rows)
    after[rows] = np.maximum(new, 0.0) if np.nanmin(before) >= 0 else new
