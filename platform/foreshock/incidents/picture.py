"""Picture of an incident for messages: a lane for each node, a bar for each alert, from its opening to its end."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.incidents.repository import IncidentRepository
from foreshock.store.store import Store

__all__ = ["TimelinePictures", "timeline_png"]

LANES = 20
"""Nodes that are drawn, those first that alerted first."""
ALERTS = 500
LONGEST_NAME = 40
COLOURS = {"info": "#2f6f9f", "warning": "#b7791f", "critical": "#b42318"}


@dataclass(frozen=True, slots=True)
class TimelinePictures:
    """Draws incidents of a tenant."""

    store: Store
    tenant: str

    def draw(self, incident: str) -> bytes | None:
        """Return a PNG; None for an incident without alerts, or one that is gone.

        Raises
        ------
        StoreError
            The store is away.
        """
        incidents = IncidentRepository(self.store, self.tenant)
        members = incidents.members([incident])[:ALERTS]
        with self.store.begin() as c:
            alerts = AlertRepository(self.store).some(c, [member.alert for member in members])
        found = [(member.node, alerts[member.alert]) for member in members if member.alert in alerts]
        return timeline_png(found) if found else None


def timeline_png(alerts: Sequence[tuple[str, Alert]]) -> bytes:
    """Draw pairs of a node and an alert of it; bars of live alerts end at the newest time that is known."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure

    lanes = list(dict.fromkeys(node for node, _ in sorted(alerts, key=lambda pair: pair[1].opened_ms)))
    newest = max(max(alert.updated_ms, alert.resolved_ms or 0) for _, alert in alerts)
    least = max(60_000, (newest - min(alert.opened_ms for _, alert in alerts)) // 100)
    figure = Figure(figsize=(7.5, 1.2 + 0.28 * min(len(lanes), LANES)), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for node, alert in alerts:
        lane = lanes.index(node)
        if lane < LANES:
            end = max(alert.resolved_ms or newest, alert.opened_ms + least)
            first, last = (date2num(datetime.fromtimestamp(ms / 1000, UTC)) for ms in (alert.opened_ms, end))
            axes.barh(lane, last - first, left=first, height=0.6, color=COLOURS[alert.severity])
    names = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in lanes[:LANES]]
    axes.set_yticks(range(len(names)), names, parse_math=False)  # a name may hold a dollar sign
    axes.set_ylim(min(len(lanes), LANES) - 0.5, -0.5)
    locator = AutoDateLocator()
    axes.xaxis_date()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    more = f"; {len(lanes) - LANES} more nodes" if len(lanes) > LANES else ""
    axes.set_xlabel(f"UTC{more}")
    axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    canvas.print_png(out)
    return out.getvalue()
