"""Plot of what runs out first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from foreshock.plot import _style as style
from foreshock_models.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@style.plain_text()
def capacity(table: pd.DataFrame, *, top: int = 15) -> Figure:
    """Hours until each resource reaches its limit, with the interval; the first at the top.

    Parameters
    ----------
    table
        What ``capacity(report, job)`` gave.
    top
        How many to show.
    """
    if table.empty:
        raise DataError(
            "no feature has a limit: give its query one in the job file, "
            "as in exhaustion: {limit: 95%, within: 24h}"
        )
    shown = table.head(top)
    ends = shown[["hours", "lower_hours", "upper_hours", "within_hours"]].to_numpy(float)
    reach = float(ends[np.isfinite(ends)].max()) * 1.25
    figure, axis = plt.subplots(figsize=(10, 0.42 * len(shown) + 1.5), layout="constrained")
    place = np.arange(len(shown))
    for y, row in zip(place, shown.to_dict("records"), strict=True):
        color = style.RED if row["alert"] else style.BLUE
        low, high = min(row["lower_hours"], reach), min(row["upper_hours"], reach)
        if low < reach:
            axis.plot([low, high], [y, y], color=color, lw=4, alpha=0.4, solid_capstyle="butt")
        if np.isfinite(row["hours"]):
            axis.plot(row["hours"], y, "o", color=color, ms=7)
        if row["upper_hours"] > reach:
            axis.plot(reach * 0.995, y, ">", color=color, ms=6, alpha=0.6, clip_on=False)
        axis.annotate(
            f"{row['probability']:.0%}",
            (1.015, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize="small",
        )
    axis.annotate(
        f"probability\nwithin {shown['within_hours'].iloc[0]:g} h", (1.0, 1.0), xycoords="axes fraction",
        xytext=(2, 3), textcoords="offset points", va="bottom", fontsize="x-small", color=style.GREY,
    )  # fmt: skip
    axis.axvline(float(shown["within_hours"].iloc[0]), color=style.GREY, lw=1, ls=":")
    axis.set_yticks(place, [f"{r['feature']} of {r['entity']}" for r in shown.to_dict("records")])
    axis.set_ylim(len(shown) - 0.5, -0.5)
    axis.set_xlim(0, reach)
    axis.set_xlabel("hours until the limit is reached: median and interval (› later than the forecast looks)")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", alpha=0.25)
    axis.set_title("what runs out first", loc="left", fontsize="medium", weight="bold")
    return figure
