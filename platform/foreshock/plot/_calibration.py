"""The false alerts that were asked for, beside those that came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from foreshock.plot import _style as style
from foreshock_models.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@style.plain_text()
def calibration(check: pd.DataFrame | dict[str, pd.DataFrame]) -> Figure:
    """Budgets on the horizontal axis, alerts that came on the vertical one; on the diagonal a budget holds.

    Parameters
    ----------
    check
        What ``foreshock.check_budget(...)`` gave; or several by name, to compare detectors. Bars are the 80%
        interval that so few alerts leave.
    """
    checks = check if isinstance(check, dict) else {"": check}
    if not checks or any(table.empty for table in checks.values()):
        raise DataError("nothing to show: foreshock.check_budget(...) gives a row for each budget")
    figure, axis = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    asked = np.concatenate([table["asked"].to_numpy(float) for table in checks.values()])
    ends = np.concatenate([table[["lower", "upper"]].to_numpy(float).ravel() for table in checks.values()])
    floor = float(asked.min()) / 8
    low = max(min(float(asked.min()), float(ends[ends > 0].min())) / 1.6, floor)
    high = max(float(asked.max()), float(ends.max())) * 1.6
    line = np.array([low, high])
    axis.fill_between(line, line / 2, line * 2, color=style.GREY, alpha=0.15, lw=0, label="within a factor of 2")
    axis.plot(line, line, color=style.GREY, lw=1, ls="--", label="as asked")
    shift = np.linspace(-0.04, 0.04, len(checks)) if len(checks) > 1 else np.zeros(1)
    for (name, table), color, marker, by in zip(checks.items(), style.CYCLE, "osD^vP", shift, strict=False):
        got = np.maximum(table["got"].to_numpy(float), low)
        bars = np.abs(np.clip(table[["lower", "upper"]].to_numpy(float), low, None) - got[:, None]).T
        axis.errorbar(
            table["asked"] * np.exp(by * 2), got, yerr=bars, fmt=marker, color=color, capsize=3, lw=1.2, ms=6,
            label=name or "came (80% interval)",
        )  # fmt: skip
    for scale in (axis.set_xscale, axis.set_yscale):
        scale("log")
    axis.set_xlim(low, high)
    axis.set_ylim(low, high)
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        side.set_minor_formatter(NullFormatter())
    axis.set_xlabel("false alerts asked for [per entity and week]")
    axis.set_ylabel("false alerts that came [per entity and week]")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    axis.legend(loc="upper left", frameon=False, fontsize="small")
    axis.set_title("does the budget hold?", loc="left", fontsize="medium", weight="bold")
    return figure
