"""Results of a detector: scores, and expected values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock_models.display import frame_html, span
from foreshock_models.panel import Panel
from foreshock_models.policy.policy import EntityState, Policy
from foreshock_models.state import State

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Expectation", "Scores"]


@dataclass(frozen=True, repr=False)
class Scores:
    """Calibrated scores of the rows that were asked for.

    ``score`` ``(n_rows,)``: 1.0 is the alert line. ``raw`` ``(n_rows,)``: before calibration.
    ``panel``: the rows themselves. ``warming`` ``(n_rows,)``: true while the entity's own calibration does
    not hold yet. ``members``: score of each detector of an ensemble. ``state``: what to hand to the next call.
    ``new_normal``: ``(entity, timestamp)`` of each regime that was accepted as the new normal.
    """

    panel: Panel
    score: NDArray[np.float64]
    raw: NDArray[np.float64]
    warming: NDArray[np.bool_]
    state: State
    members: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    new_normal: tuple[tuple[str, int], ...] = ()

    def to_pandas(self) -> pd.DataFrame:
        """One row per row of the windows: timestamp, entity, score, the score of each member, raw, warming."""
        import pandas as pd

        return pd.DataFrame(
            {
                "timestamp": pd.to_datetime(self.panel.timestamps, unit="ms", utc=True),
                "entity": np.array(self.panel.entities, dtype=object)[self.panel.codes],
                "score": self.score,
                **self.members,
                "raw": self.raw,
                "warming": self.warming,
            }
        )

    def anomalies(self, *, needed: int = 3, of: int = 5, resolve_after: float = 600.0) -> pd.DataFrame:
        """Runs of rows over the line, as a job's ``alerts:`` sees them, the highest first; none of warming rows.

        Parameters
        ----------
        needed, of
            An anomaly begins where `needed` of the last `of` rows have a score of at least 1.
        resolve_after
            Seconds without such a row that end it.

        Returns
        -------
        DataFrame
            ``entity``, ``start`` and ``end`` (of the last row over the line), ``minutes`` between them, and
            ``peak``, the highest score.
        """
        import pandas as pd

        policy = Policy(needed, of, resolve_after)
        state = policy.apply(self.panel, self.score, ~self.warming).entity_state
        found = []
        for entity, rows in self.panel:
            over = np.flatnonzero(np.isin(state[rows], (EntityState.OPENED, EntityState.ANOMALOUS))) + rows.start
            for run in np.split(over, np.flatnonzero(state[over] == EntityState.OPENED))[1:]:
                first, last = (int(self.panel.timestamps[run[i]]) for i in (0, -1))
                found.append((entity, first, last, (last - first) / 60_000, float(self.score[run].max())))
        frame = pd.DataFrame(found, columns=["entity", "start", "end", "minutes", "peak"])
        for name in ("start", "end"):
            frame[name] = pd.to_datetime(frame[name], unit="ms", utc=True)
        return frame.sort_values(["peak", "entity"], ascending=[False, True], ignore_index=True)

    def __repr__(self) -> str:
        if self.panel.n_rows == 0:
            return "Scores(no rows)"
        found = self.anomalies()
        what = "nothing over the line"
        if len(found):
            worst = found.iloc[0]
            many = "anomaly" if len(found) == 1 else "anomalies"
            what = f"{len(found)} {many}, the highest {worst['peak']:.2f} on {worst['entity']}"
        times = self.panel.timestamps
        return (
            f"Scores({self.panel.n_entities} entities, {self.panel.n_rows} rows, "
            f"{span(times.min(), times.max())}: {what}; 1.0 is the alert line)"
        )

    def _repr_html_(self) -> str:
        return frame_html(repr(self), self.anomalies() if self.panel.n_rows else self.to_pandas())


@dataclass(frozen=True, repr=False)
class Expectation:
    """Expected values of each feature: three arrays ``(n_rows, n_features)``, NaN where it cannot say."""

    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    def __repr__(self) -> str:
        rows, features = self.expected.shape
        known = np.isfinite(self.expected).mean() if self.expected.size else 0.0
        return f"Expectation({rows} rows x {features} features, {known:.0%} of the values known)"
