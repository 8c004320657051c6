"""The result of a forecaster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import DataError, allowed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Forecast"]

Key = tuple[str, str]


@dataclass(frozen=True)
class Forecast:
    """Points and intervals of the rows to come, per entity and feature.

    Parameters
    ----------
    entities, features
        In the order of the axes.
    step
        Seconds between two rows; each value is the mean over a row.
    timestamps
        ``(n_entities, horizon)`` int64, milliseconds since the epoch: the beginning of each row.
    point
        ``(n_entities, horizon, n_features)``, in the unit of the feature; NaN for what was skipped.
    levels
        Of the intervals, rising: 0.8 holds 8 of 10.
    lower, upper
        ``(n_levels, n_entities, horizon, n_features)``.
    method
        Entity and feature to the name of what forecast it.
    wape, baseline_wape
        Backtest error of the forecast and of the seasonal-naive one on the same rows: 0.1 is 10%.
    paths
        Entity and feature to courses that the future may take ``(n_paths, horizon)``: the point and how the
        forecast went wrong at each origin of the validation.
    skipped
        Entity and feature to the reason why there is no forecast.
    """

    entities: tuple[str, ...]
    features: tuple[str, ...]
    step: float
    timestamps: NDArray[np.int64]
    point: NDArray[np.float64]
    levels: tuple[float, ...]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    method: dict[Key, str]
    wape: dict[Key, float]
    baseline_wape: dict[Key, float]
    paths: dict[Key, NDArray[np.float64]] = field(repr=False, default_factory=dict)
    skipped: dict[Key, str] = field(default_factory=dict)

    @property
    def horizon(self) -> int:
        """Rows of the forecast."""
        return int(self.point.shape[1])

    def level(self, level: float) -> int:
        """Number of a level on the first axis of `lower` and `upper`."""
        for n, known in enumerate(self.levels):
            if abs(known - level) < 1e-9:
                return n
        raise DataError(
            f"this forecast has no interval of level {level:g}; it has {', '.join(f'{x:g}' for x in self.levels)}: "
            "name the level in predict(..., levels=)"
        )

    def index(self, entity: str, feature: str) -> tuple[int, int]:
        """Numbers of an entity and a feature on their axes."""
        for kind, name, names in (("entity", entity, self.entities), ("feature", feature, self.features)):
            if name not in names:
                raise DataError(f"this forecast has no {kind} {name!r}; {allowed(name, names)}")
        return self.entities.index(entity), self.features.index(feature)

    def to_pandas(self, level: float | None = None) -> pd.DataFrame:
        """One row per entity, feature and time: point, interval (default the narrowest), method, error."""
        import pandas as pd

        n = 0 if level is None else self.level(level)
        frames = []
        for i, entity in enumerate(self.entities):
            for j, feature in enumerate(self.features):
                key = (entity, feature)
                if key not in self.method:
                    continue
                frames.append(
                    pd.DataFrame(
                        {
                            "entity": entity,
                            "feature": feature,
                            "timestamp": pd.to_datetime(self.timestamps[i], unit="ms", utc=True),
                            "point": self.point[i, :, j],
                            "lower": self.lower[n, i, :, j],
                            "upper": self.upper[n, i, :, j],
                            "method": self.method[key],
                            "wape": self.wape[key],
                            "baseline_wape": self.baseline_wape[key],
                        }
                    )
                )
        return pd.concat(frames, ignore_index=True)

    def __repr__(self) -> str:
        hours = self.horizon * self.step / 3600
        return (
            f"Forecast({len(self.entities)} entities x {len(self.features)} features, "
            f"{self.horizon} rows of {self.step:g} s ({hours:.3g} h), {len(self.skipped)} series skipped)"
        )
