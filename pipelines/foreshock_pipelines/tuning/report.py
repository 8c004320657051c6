"""The report of a tuning."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from foreshock_models.display import frame_html
from foreshock_pipelines.promotion.comparison import Comparison
from foreshock_pipelines.tuning.settings import TunedSettings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TuneReport"]


@dataclass(frozen=True, repr=False)
class TuneReport:
    """The settings that a search found, the model trained with them, and its comparison with the champion."""

    job: str
    version: str
    aliases: tuple[str, ...]
    promoted: bool
    start: datetime
    end: datetime
    tuned: TunedSettings
    comparison: Comparison
    seconds: float = field(default=0.0, compare=False)

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Detector to its best parameters, as a job file has them under ``detectors:``."""
        return self.tuned.settings

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per trial: detector, number, state, average precision, seconds, and its parameters."""
        import pandas as pd

        rows = [
            {
                "detector": t.detector,
                "trial": t.number,
                "state": t.state,
                "auc_pr": t.auc_pr,
                "seconds": t.seconds,
                "params": t.params,
            }
            for t in self.tuned.trials
        ]
        return pd.DataFrame(rows)

    def summary(self) -> pd.DataFrame:
        """Return one row per detector: trials, the best setting, and its average precision beside the defaults'."""
        import pandas as pd

        rows = [
            {
                "detector": result.detector,
                "trials": len(result.trials),
                "defaults": result.default_auc_pr,
                "best": result.auc_pr,
                "params": result.params,
            }
            for result in self.tuned.results
        ]
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "job": self.job,
            "version": self.version,
            "aliases": list(self.aliases),
            "promoted": self.promoted,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "seconds": round(self.seconds, 1),
            "settings": self.settings,
            "basis": self.tuned.basis,
            "auc_pr": self.tuned.auc_pr,
            "default_auc_pr": self.tuned.default_auc_pr,
            "notes": self.tuned.notes,
            "comparison": self.comparison.as_dict(),
            "trials": [asdict(trial) for trial in self.tuned.trials],
        }

    def __repr__(self) -> str:
        names = ", ".join(self.aliases) or "without an alias"
        tuned = self.tuned
        return (
            f"TuneReport({self.job!r}: {len(tuned.trials)} trials, AUC-PR on {tuned.basis} anomalies "
            f"{tuned.default_auc_pr:.3f} -> {tuned.auc_pr:.3f}; version {self.version} is {names}: "
            f"{self.comparison.reason})"
        )

    def _repr_html_(self) -> str:
        return frame_html(repr(self), self.summary())
