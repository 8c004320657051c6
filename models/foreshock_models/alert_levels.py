"""From which value a feature alone would alert now: what a model means, in words of the metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors import Detector
from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState, Policy, Rule

__all__ = ["AlertLevel", "alert_levels"]

FIRST = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
"""Distances from the usual band that are tried first, in widths of the band; then `FINER` between two of them."""
FINER = 6


@dataclass(frozen=True, slots=True)
class AlertLevel:
    """The value from which `feature` of `entity` would alert, if nothing else changed; None: it would not.

    ``above``: it alerts from the value on upwards; False: downwards. ``usual``: its usual value now.
    """

    entity: str
    feature: str
    value: float | None
    above: bool
    usual: float

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.feature} alone does not alert on {self.entity}"
        end = "" if self.above else " downwards"
        return f"{self.feature} alerts from about {self.value:.3g}{end} on {self.entity}, usual is {self.usual:.3g}"


def alert_levels(
    detector: Detector, panel: Panel, entity: str, policy: Policy, rules: Mapping[str, Rule] | None = None
) -> list[AlertLevel]:
    """Find for each feature of an entity the value that, if it lasted, would open an alert after these rows.

    Parameters
    ----------
    panel
        Rows before now; the last ones of the entity are the context.
    rules
        Feature to its rule: one whose direction is down is tried downwards.
    """
    block = dict(panel)[entity]
    rows = panel.rows(max(block.start, block.stop - detector.context - 1), block.stop)
    lower, usual, upper = (band[-1] for band in detector.baseline_.at(rows))
    width = np.maximum(upper - lower, 0.05 * detector.baseline_.range_of(rows)[0])
    levels = []
    for j, name in enumerate(panel.features):
        above = (rules or {}).get(name, Rule()).direction != "down"
        if np.isnan(usual[j]) or not width[j] > 0:
            continue
        sign, edge = (1.0, upper[j]) if above else (-1.0, lower[j])
        found = _first_alert(detector, rows, j, edge + sign * FIRST * width[j], policy)
        value = None
        if found is not None:
            start = 0.0 if found == 0 else FIRST[found - 1]
            finer = edge + sign * np.linspace(start, FIRST[found], FINER + 1)[1:] * width[j]
            exact = _first_alert(detector, rows, j, finer, policy)
            value = float(finer[-1 if exact is None else exact])
        levels.append(AlertLevel(entity, name, value, above, float(usual[j])))
    return levels


def _first_alert(
    detector: Detector, rows: Panel, feature: int, values: NDArray[np.float64], policy: Policy
) -> int | None:
    """Number of the first of `values` that opens an alert if the feature has it in the next rows."""
    ahead = 6 * policy.of
    after = np.arange(1, ahead + 1) * round(rows.step * 1000) + rows.timestamps[-1]
    _, usual, _ = detector.baseline_.at(
        Panel(
            np.zeros((ahead, rows.n_features)), np.array([0, ahead]), rows.entities, rows.features, after, rows.step
        )
    )
    tries = []
    for value in values:
        more = usual.copy()
        more[:, feature] = value
        both = np.concatenate([rows.values, more])
        times = np.concatenate([rows.timestamps, after])
        tries.append(Panel(both, np.array([0, len(both)]), rows.entities, rows.features, times, rows.step))
    scores = detector.score(Panel.concat(tries), since=int(after[0]))
    state = policy.apply(scores.panel, scores.score, np.ones(scores.panel.n_rows, np.bool_)).entity_state
    opened = (state.reshape(len(values), ahead) == EntityState.OPENED).any(axis=1)
    return int(np.argmax(opened)) if opened.any() else None
