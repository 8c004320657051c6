"""Inputs that several parts share: fleets of hosts, and the rows of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.datasets.windows import Windows

__all__ = ["EXTRA", "fleet", "panel_of", "sparse"]

EXTRA = ("load", "sockets")
"""With the demo fleet's six features, these make the eight of the goals."""


def fleet(hosts: int, days: float, *, step: float = 60.0, incidents: int = 0, seed: int = 7) -> Windows:
    """The demo fleet with eight features."""
    windows, _ = demo_fleet(hosts=hosts, days=days, step=step, incidents=incidents, seed=seed)
    panel = windows.to_panel()
    rng = np.random.default_rng(seed)
    cpu, network = (panel.values[:, panel.features.index(name)] for name in ("cpu", "network"))
    noise = rng.normal(size=(2, panel.n_rows))
    more = {"load": 8 * cpu + 0.2 * noise[0], "sockets": 1e-4 * network + 10 * noise[1]}
    columns = {name: panel.values[:, j] for j, name in enumerate(panel.features)}
    return Windows.dense(
        {"instance": list(panel.entities)}, columns | more, first=int(panel.timestamps[0]),
        n_steps=panel.n_rows // panel.n_entities, step=step, job="bench",
        queries={name: f"bench_{name}" for name in [*columns, *more]},
    )  # fmt: skip


def panel_of(windows: Windows, entities: Sequence[str] | None = None) -> Panel:
    panel = windows.to_panel()
    return panel if entities is None else panel.select(entities)


def sparse(windows: Windows, rows: int) -> Windows:
    """The last `rows` rows of every entity."""
    return windows.between(windows.end - timedelta(seconds=(rows - 1) * windows.step))
