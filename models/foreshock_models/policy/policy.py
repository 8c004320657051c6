"""The alert policy: when scores become an alert. Live scoring and replays apply the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from foreshock_models.kernels import layout
from foreshock_models.panel import Panel
from foreshock_models.policy.rules import Rule
from foreshock_models.state import State
from foreshock_models.votes import check_votes

__all__ = ["EntityState", "Policy", "PolicyResult", "severity"]

CAUSE_SHARE = 0.15
"""A feature with at least this share of the attributions is a cause."""


class EntityState(IntEnum):
    """State of an entity after a row."""

    CALM = layout.CALM
    PENDING = layout.PENDING
    OPENED = layout.OPENED
    ANOMALOUS = layout.ANOMALOUS
    QUIET = layout.QUIET
    RESOLVED = layout.RESOLVED


@dataclass(frozen=True)
class PolicyResult:
    """Result of `Policy.apply`.

    Parameters
    ----------
    entity_state
        ``(n_rows,)`` of `EntityState`: where the entity stands after the row.
    peak
        ``(n_rows,)``: highest score of the alert so far.
    since
        ``(n_rows,)``: begin of what is pending or open, in ms since the epoch.
    state
        Where the entities stand after the last row.
    """

    entity_state: NDArray[np.int8]
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
        While an alert is open, a row with this score still counts as anomalous, so that the alert does not flap.
    rules
        Feature to `Rule`; features without one may always alert.
    while_warming
        Rows of entities that are still warming up may alert, too.

    Examples
    --------
    >>> rows = Panel.of(np.zeros((4, 1)))
    >>> result = Policy(needed=2, of=3).apply(rows, np.array([0.2, 1.5, 1.2, 0.1]), np.ones(4, np.bool_))
    >>> [EntityState(code).name for code in result.entity_state]
    ['CALM', 'PENDING', 'OPENED', 'QUIET']
    """

    needed: int = 3
    of: int = 5
    resolve_after: float = 600.0
    keep: float = 0.96
    rules: Mapping[str, Rule] = field(default_factory=dict)
    while_warming: bool = False

    def __post_init__(self) -> None:
        check_votes(self.needed, self.of)

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
        """Return which rows may alert ``(n,)``: those with a cause that deviates as its rule requires.

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
            allowed |= (share[:, j] >= CAUSE_SHARE) & rule.permits(observed[:, j], usual[:, j])
        return allowed

    def apply(
        self,
        panel: Panel,
        score: NDArray[np.float64],
        permitted: NDArray[np.bool_],
        state: State | None = None,
    ) -> PolicyResult:
        """Return where each entity stands after each row.

        Parameters
        ----------
        score, permitted
            ``(n_rows,)``: calibrated scores, and which rows may alert.
        state
            Where the entities stand before the first row; default: calm.
        """
        from foreshock_models.kernels.compiled.policy import (
            advance_policy,  # not everyone who knows a policy applies it
        )

        table = _table(state, panel.entities)
        present = np.asarray(~np.isnan(panel.values).all(axis=1))
        states, peak, since = advance_policy(
            score,
            (np.asarray(permitted), present, panel.timestamps, panel.offsets),
            layout.records(table, layout.ALERT_POLICY),
            (self.needed, self.of),
            self.resolve_after * 1000.0,
            self.keep,
        )
        return PolicyResult(states, peak, since, State(panel.entities, {"policy": table}))

    @staticmethod
    def last_seen(state: State) -> dict[str, int]:
        """Return the time of the last row with a sample of each entity, in ms since the epoch."""
        if not state.entities:
            return {}
        seen = layout.records(state.arrays["policy"], layout.ALERT_POLICY)["last_sample_ms"]
        return {name: int(ms) for name, ms in zip(state.entities, seen, strict=True)}

    @staticmethod
    def entity_states(state: State) -> dict[str, EntityState]:
        """Return the state of each entity: ``CALM``, ``PENDING`` or, while an alert is due, ``ANOMALOUS``."""
        if not state.entities:
            return {}
        entities = layout.records(state.arrays["policy"], layout.ALERT_POLICY)
        pending = np.where(entities["votes"] > 0, EntityState.PENDING, EntityState.CALM)
        codes = np.where(entities["open"] == 1.0, EntityState.ANOMALOUS, pending)
        return {name: EntityState(int(code)) for name, code in zip(state.entities, codes, strict=True)}


def severity(peak: float, seconds: float) -> str:
    """Return ``warning``, or ``critical`` when the score is twice the line, or over it for an hour.

    >>> severity(1.3, 60), severity(2.5, 60)
    ('warning', 'critical')
    """
    return "critical" if peak >= 2.0 or seconds >= 3600 else "warning"


def _table(state: State | None, entities: tuple[str, ...]) -> NDArray[np.float64]:
    """Records of `entities` as a table ``(n_entities, n_columns)``; zeros for unknown ones."""
    table = np.zeros((len(entities), layout.ALERT_POLICY.itemsize // 8))
    if state is not None and state.entities:
        places = state.places(entities)
        here = places >= 0
        table[here] = state.arrays["policy"][places[here]]
    return table
