"""The windows of a request as a panel: checked, each on its own stretch of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock.serving.schemas import WindowBody
from foreshock_models.errors import DataError, allowed
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.windows import Windows, entity_key

if TYPE_CHECKING:
    from foreshock.serving.models import Served

__all__ = ["arrow_windows", "panel_of"]

LONGEST = 1_000_000
"""Steps from the first to the last time of a window."""


def panel_of(served: Served, bodies: Sequence[WindowBody]) -> Panel:
    """One block of rows for each body.

    Raises
    ------
    DataError
        Unsorted times, lengths that differ, unknown or missing features, wrong entity labels, or the same entity
        in two bodies.
    """
    panel = Panel.concat([_block(served, body, i) for i, body in enumerate(bodies)])
    if len(set(panel.entities)) < panel.n_entities:
        twice = next(name for name in panel.entities if panel.entities.count(name) > 1)
        raise DataError(f"windows: the entity {twice!r} is given twice; put its rows into one window")
    return panel


def _block(served: Served, body: WindowBody, i: int) -> Panel:
    where = f"windows[{i}]"
    name = entity_key(_labels(served, body.entity, where))
    columns = _columns(served.detector.features_in_, body, where)
    ms = _milliseconds(body.timestamps)
    back = ms[1:] <= ms[:-1]
    if back.any():
        at = int(np.flatnonzero(back)[0]) + 1
        raise DataError(f"{where}.timestamps: not increasing at number {at} ({body.timestamps[at].isoformat()})")
    size = round(served.step * 1000)
    grid = ms // size  # a time is moved down to its point of the grid
    n_steps = int(grid[-1] - grid[0]) + 1
    if n_steps > LONGEST:
        raise DataError(f"{where}.timestamps: span more than a million steps of {served.step:g} s")
    values = np.full((n_steps, len(columns)), np.nan)
    values[grid - grid[0]] = columns.T  # of several rows on one point, the last counts
    times = np.arange(grid[0], grid[-1] + 1) * size
    return Panel(values, np.array([0, n_steps]), (name,), served.detector.features_in_, times, served.step)


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


def _milliseconds(times: list[datetime]) -> NDArray[np.int64]:
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


def arrow_windows(served: Served, data: bytes) -> Windows:
    """Windows of an Arrow IPC stream.

    Raises
    ------
    DataError
        Not such a stream, or a column that the model needs is missing.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(data) as reader:
            table = reader.read_all()
    except (pa.ArrowInvalid, OSError) as exc:
        raise DataError(f"the body is not an Arrow IPC stream: {exc}") from exc
    names = ["timestamp", *served.labels, *served.detector.features_in_]
    for name in names:
        if name not in table.column_names:
            raise DataError(f"the table has no column {name!r}; the model needs {', '.join(names)}")
    try:
        return Windows.build(
            table.column("timestamp"),
            {name: table.column(name).cast(pa.string()).combine_chunks() for name in served.labels},
            {name: table.column(name).cast(pa.float64()).to_numpy() for name in served.detector.features_in_},
            step=served.step,
        )
    except pa.ArrowInvalid as exc:
        raise DataError(f"the table cannot be read as windows: {exc}") from exc
