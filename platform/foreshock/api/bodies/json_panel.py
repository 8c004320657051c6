"""The windows of a validated JSON body as a panel, each on its own part of the grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock.api.schemas import WindowBody
from foreshock_models.errors import DataError, allowed
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.entity_key import entity_key
from foreshock_pipelines.datasets.fill import MOST_VALUES, check_rows

if TYPE_CHECKING:
    from foreshock.api.replicas import Served

__all__ = ["milliseconds", "panel_if_few", "panel_of_bodies"]


def panel_of_bodies(served: Served, bodies: Sequence[WindowBody]) -> Panel:
    """One block of rows for each body; errors as `panel_if_few` raises them."""
    panel = panel_if_few(served, bodies, MOST_VALUES)
    assert panel is not None
    return panel


def panel_if_few(served: Served, bodies: Sequence[WindowBody], few: int) -> Panel | None:
    """One block of rows for each body, if there are no more than `few` of them; else None, and nothing was built.

    Raises
    ------
    DataError
        Unsorted times, lengths that differ, unknown or missing features, wrong entity labels, the same entity in
        two bodies, or more rows than one request may have.
    """
    features = served.detector.features_in_
    names = [entity_key(_labels(served, body.entity, f"windows[{i}]")) for i, body in enumerate(bodies)]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"windows: the entity {name!r} is given twice; put its rows into one window")
    grids = [_grid(served, body, f"windows[{i}].timestamps") for i, body in enumerate(bodies)]
    n_rows = sum(int(grid[-1] - grid[0]) + 1 for grid in grids)
    check_rows(n_rows, sum(map(len, grids)), len(features), served.step, MOST_VALUES)
    if n_rows > few:
        return None
    blocks = []
    for i, (name, grid, body) in enumerate(zip(names, grids, bodies, strict=True)):
        columns = _columns(features, body, f"windows[{i}]")
        values = np.full((int(grid[-1] - grid[0]) + 1, len(columns)), np.nan)
        values[grid - grid[0]] = columns.T  # of several rows on one point, the last counts
        times = np.arange(grid[0], grid[-1] + 1) * round(served.step * 1000)
        blocks.append(Panel(values, np.array([0, len(values)]), (name,), features, times, served.step))
    return Panel.concat(blocks)


def _grid(served: Served, body: WindowBody, where: str) -> NDArray[np.int64]:
    """Point of the grid of each time ``(n_times,)``: a time is moved down to it."""
    ms = milliseconds(body.timestamps)
    back = ms[1:] <= ms[:-1]
    if back.any():
        at = int(np.flatnonzero(back)[0]) + 1
        raise DataError(f"{where}: not increasing at number {at} ({body.timestamps[at].isoformat()})")
    grid: NDArray[np.int64] = ms // round(served.step * 1000)
    return grid


def _columns(features: tuple[str, ...], body: WindowBody, where: str) -> NDArray[np.float64]:
    """Values ``(n_features, n_times)`` in the order of the model; a null is NaN."""
    given, n = body.values, len(body.timestamps)
    for name in given:
        if name not in features:
            raise DataError(f"{where}.values: unknown feature {name!r}; {allowed(name, features)}")
    for name in features:
        if name not in given:
            raise DataError(
                f"{where}.values: the feature {name!r} is missing; the model needs {', '.join(features)}"
            )
    for name, values in given.items():
        if len(values) != n:
            raise DataError(f"{where}.values.{name}: {len(values)} values for {n} timestamps")
    return np.array([given[name] for name in features], dtype=np.float64)


def milliseconds(times: list[datetime]) -> NDArray[np.int64]:
    """Since the epoch; a time without an offset is UTC."""
    seconds = np.array([(t if t.tzinfo else t.replace(tzinfo=UTC)).timestamp() for t in times])
    return np.rint(seconds * 1000).astype(np.int64)


def _labels(served: Served, entity: str | dict[str, str] | None, where: str) -> dict[str, str]:
    names = served.labels
    if entity is None:
        entity = dict.fromkeys(names, "")
    if isinstance(entity, str):
        if len(names) != 1:
            raise DataError(f"{where}.entity: give all labels of the entity: {', '.join(names)}")
        return {names[0]: entity}
    for name in entity:
        if name not in names:
            raise DataError(f"{where}.entity: unknown label {name!r}; {allowed(name, names)}")
    for name in names:
        if name not in entity:
            raise DataError(f"{where}.entity: the label {name!r} is missing")
    return {name: entity[name] for name in names}
