"""The report of a backtest."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.display import frame_html
from foreshock_pipelines.backtesting.outcome import Outcome, outcome_json
from foreshock_pipelines.datasets.labels import Intervals

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BacktestReport"]


@dataclass(frozen=True, repr=False)
class BacktestReport:
    """The rows that were replayed, and the outcome of each policy.

    ``timelines``: entity to its scores under the first policy, one per step of the grid, NaN where it has no row.
    """

    job: str
    start: datetime
    end: datetime
    step: float
    rows: int
    entities: int
    fits: int
    budget: str
    policies: list[Outcome]
    timelines: dict[str, NDArray[np.float64]] = field(repr=False)
    known: Intervals = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        return bool(self.known)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values, without the timelines."""
        return {
            "job": self.job,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "rows": self.rows,
            "entities": self.entities,
            "fits": self.fits,
            "policies": [outcome_json(outcome) for outcome in self.policies],
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per alert: policy, entity, opened, resolved, peak score, main cause, known."""
        import pandas as pd

        columns = ["policy", "entity", "opened", "resolved", "peak", "cause", "known"]
        rows = [
            (
                outcome.name,
                alert.entity,
                alert.opened,
                alert.resolved,
                alert.score,
                alert.causes[0].feature if alert.causes else None,
                alert.known,
            )
            for outcome in self.policies
            for alert in outcome.alerts
        ]
        return pd.DataFrame(rows, columns=columns)

    def summary(self) -> pd.DataFrame:
        """Return one row per policy: alerts, and with labels precision, recall and delay in minutes."""
        import pandas as pd

        rows = [
            {
                "policy": outcome.name,
                "for": outcome.votes,
                "budget": outcome.budget,
                "alerts": len(outcome.alerts),
                "per_entity_week": outcome.per_entity_week,
                "precision": outcome.precision,
                "recall": outcome.recall,
                "delay_minutes": None if outcome.delay is None else outcome.delay / timedelta(minutes=1),
            }
            for outcome in self.policies
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        alerts = ", ".join(f"{len(outcome.alerts)} alerts ({outcome.name})" for outcome in self.policies)
        return (
            f"BacktestReport({self.job!r}: {self.entities} entities, "
            f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC; {alerts})"
        )

    def _repr_html_(self) -> str:
        return frame_html(repr(self), self.summary())
