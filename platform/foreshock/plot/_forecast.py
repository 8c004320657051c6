"""History and forecast of one series."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from foreshock.plot import _style as style
from foreshock_models.errors import DataError
from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from foreshock_models.forecasters import Forecast
    from foreshock_pipelines.forecasting.report import ForecastReport


@style.plain_text()
def forecast(
    windows: Windows,
    made: ForecastReport | Forecast,
    *,
    entity: str | None = None,
    feature: str | None = None,
    history: timedelta = timedelta(days=3),
    actual: Windows | None = None,
    limit: float | None = None,
    unit: str = "",
) -> Figure:
    """Plot the past, and the forecast with its interval.

    Parameters
    ----------
    windows
        What the forecast was made of.
    made
        A report of the forecast job, or what ``forecaster.predict(...)`` gave.
    entity, feature
        Which series; default the first one.
    history
        How much of the past to show.
    actual
        Windows of the time that was forecast, where it is over by now: shown beside the forecast.
    limit
        Where the resource is used up: drawn as a line.
    unit
        For the axis.
    """
    frame = made.to_pandas()
    panel = windows.to_panel()
    known = frame[["entity", "feature"]].drop_duplicates()
    entity = style.pick("entity", entity, known["entity"].unique().tolist(), str(known["entity"].iloc[0]))
    of_entity = known.loc[known["entity"] == entity, "feature"].tolist()
    feature = style.pick("feature", feature, of_entity, of_entity[0])
    part = frame[(frame["entity"] == entity) & (frame["feature"] == feature)]
    ahead = part["timestamp"].to_numpy("datetime64[ms]")
    if entity not in panel.entities or feature not in panel.features:
        raise DataError(f"the windows do not hold {feature} of {entity}: give those that were forecast")

    figure, axis = plt.subplots(figsize=(10, 3.4), layout="constrained")
    times, values = _series(windows, entity, feature)
    shown = times >= ahead[0] - np.timedelta64(round(history.total_seconds()), "s")
    axis.plot(times[shown], values[shown], color=style.BLUE, lw=0.8, label="history")
    if actual is not None:
        axis.plot(*_series(actual, entity, feature), color=style.GREY, lw=0.8, label="what came")
    level = made.levels[0] if hasattr(made, "levels") else made.level
    axis.fill_between(
        ahead, part["lower"], part["upper"], color=style.ORANGE, alpha=0.35, lw=0, label=f"{level:.0%} interval"
    )
    axis.plot(ahead, part["point"], color=style.RED, lw=1.4, label=f"forecast ({part['method'].iloc[0]})")
    axis.axvline(ahead[0], color=style.GREY, lw=0.8, ls=":")
    if limit is not None:
        axis.axhline(limit, color=style.RED, lw=1, ls="--", label="limit")
    axis.set_ylabel(f"{feature} [{unit}]" if unit else feature)
    return style.finish(figure, [axis], f"forecast: {feature} of {entity}")


def _series(windows: Windows, entity: str, feature: str) -> tuple[style.Times, NDArray[np.float64]]:
    panel = windows.to_panel()
    rows = style.rows_of(panel, entity)
    return style.times_of(panel.timestamps[rows]), panel.values[rows, panel.features.index(feature)]
