"""When scores become an alert: one pass over the rows of each entity, the same live and in a replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.state import State
from foreshock_models.panel import Panel
from foreshock_models.policy.rules import Rule

__all__ = ["Policy", "Step", "Walk", "severity"]

BITS, OPEN, OPENED, LAST, PEAK, SEEN, SINCE = range(7)
N_COLUMNS = 7
MAJOR_SHARE = 0.15
"""A feature with at least this share of the attributions is a cause."""


class Step(IntEnum):
    """Where an entity stands after a row."""

    CALM = 0
    PENDING = 1
    OPENED = 2
    ANOMALOUS = 3
    QUIET = 4
    RESOLVED = 5


@dataclass(frozen=True)
class Walk:
    """Where entities stand after each row.

    ``step`` ``(n_rows,)`` of `Step`; ``peak`` ``(n_rows,)`` highest score of the alert so far; ``since``
    ``(n_rows,)`` when what is pending or open began, ms since the epoch; new state.
    """

    step: NDArray[np.int8]
    peak: NDArray[np.float64]
    since: NDArray[np.int64]
    state: State


@dataclass(frozen=True)
class Policy:
    """Opens an alert when `needed` of the last `of` rows are anomalous, resolves it after a quiet time.

    Parameters
    ----------
    resolve_after
        Seconds without an anomalous row.
    keep
        While an alert is open, a row at this score still counts as anomalous, so that it does not flap.
    rules
        Feature to `Rule`; others may always alert.
    """

    needed: int = 3
    of: int = 5
    resolve_after: float = 600.0
    keep: float = 0.96
    rules: Mapping[str, Rule] = field(default_factory=dict)

    @property
    def selective(self) -> bool:
        """True if some deviations never alert, so that causes must be known."""
        return any(not rule.trivial for rule in self.rules.values())

    def permitted(
        self,
        attributions: NDArray[np.float64],
        observed: NDArray[np.float64],
        usual: NDArray[np.float64],
        features: tuple[str, ...],
    ) -> NDArray[np.bool_]:
        """Which rows may alert ``(n,)``: those with a cause that deviates as its rule wants.

        Parameters
        ----------
        attributions, observed, usual
            ``(n, n_features)`` each.
        """
        positive = np.maximum(attributions, 0.0)
        share = positive / np.maximum(positive.sum(axis=1, keepdims=True), 1e-12)
        allowed = np.zeros(len(share), np.bool_)
        for j, name in enumerate(features):
            rule = self.rules.get(name, Rule())
            allowed |= (share[:, j] >= MAJOR_SHARE) & rule.permits(observed[:, j], usual[:, j])
        return allowed

    def walk(
        self,
        panel: Panel,
        score: NDArray[np.float64],
        permitted: NDArray[np.bool_],
        state: State | None = None,
    ) -> Walk:
        """Say where each entity stands after each row, given where it stood before the first."""
        from foreshock_models.policy._walk import walk  # compiled code, which not all who know a policy need

        table = _table(state, panel.entities)
        present = ~np.isnan(panel.values).all(axis=1)
        step, peak, since = walk(
            score, np.asarray(permitted), np.asarray(present), panel.timestamps, panel.offsets, table,
            self.needed, self.of, self.resolve_after * 1000.0, self.keep,
        )  # fmt: skip
        return Walk(step, peak, since, State(panel.entities, {"policy": table}))

    @staticmethod
    def last_seen(state: State) -> dict[str, int]:
        """Entity to the time of its last row with a sample, ms since the epoch."""
        if not state.entities:
            return {}
        seen = state.arrays["policy"][:, SEEN]
        return {name: int(ms) for name, ms in zip(state.entities, seen, strict=True)}

    @staticmethod
    def standing(state: State) -> dict[str, Step]:
        """Entity to ``CALM``, ``PENDING`` or, while an alert is due, ``ANOMALOUS``."""
        if not state.entities:
            return {}
        table = state.arrays["policy"]
        steps = np.where(
            table[:, OPEN] == 1.0, Step.ANOMALOUS, np.where(table[:, BITS] > 0, Step.PENDING, Step.CALM)
        )
        return {name: Step(int(step)) for name, step in zip(state.entities, steps, strict=True)}


def severity(peak: float, seconds: float) -> str:
    """``warning``, or ``critical`` when the score is twice the line, or over it for an hour."""
    return "critical" if peak >= 2.0 or seconds >= 3600 else "warning"


def _table(state: State | None, entities: tuple[str, ...]) -> NDArray[np.float64]:
    table = np.zeros((len(entities), N_COLUMNS))
    if state is not None and state.entities:
        at = {name: i for i, name in enumerate(state.entities)}
        for i, name in enumerate(entities):
            if name in at:
                table[i] = state.arrays["policy"][at[name]]
    return table
