"""The windows of a request as a panel: checked, each on its own stretch of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock.serving.schemas import WindowBody
from foreshock_models.errors import DataError, allowed
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.windows import Windows, entity_key

if TYPE_CHECKING:
    from foreshock.serving.models import Served

__all__ = ["arrow_windows", "panel_of", "plain_panel"]

LONGEST = 1_000_000
"""Steps from the first to the last time of a window."""
KEYS = {"job", "windows", "last"}
WINDOW_KEYS = {"entity", "timestamps", "values"}
TIME = np.frombuffer(b"0000-00-00T00:00:00Z", np.uint8)
"""A time as clients write it: a digit where there is a 0."""
LINE = ord("\n")
NUMBERS = {float, int, NoneType}
DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])
"""The days of a year before each month."""


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


def plain_panel(served: Served, value: dict[str, Any]) -> Panel | None:
    """The same of the JSON value of a `ScoreRequest`, if it is written as nearly all are; else None.

    Plain is a body with one window, one label, every time in UTC to the second, and nothing wrong. Whatever else it
    is, the schema says what: to have it look at each time and each number takes as long as to score them.
    """
    windows, last = value.get("windows"), value.get("last")
    if not (value.keys() <= KEYS and type(windows) is list and len(windows) == 1):
        return None
    if not (last is None or (type(last) is int and last > 0)):
        return None
    (window,) = windows
    if type(window) is not dict or window.keys() != WINDOW_KEYS:
        return None
    entity, times, given = window["entity"], window["timestamps"], window["values"]
    features, n = served.detector.features_in_, len(times) if type(times) is list else 0
    if n == 0 or type(entity) is not str or len(served.labels) != 1:
        return None
    if type(given) is not dict or len(given) != len(features):
        return None
    columns: list[Any] = []  # one after the other
    for name in features:
        column = given.get(name)
        if type(column) is not list or len(column) != n:
            return None
        columns += column
    if not set(map(type, columns)) <= NUMBERS:
        return None
    try:
        text = "\n".join(times).encode(errors="replace")
    except TypeError:
        return None
    values, steps = _placed(
        np.frombuffer(text, np.uint8), np.array(columns, dtype=np.float64), n, round(served.step * 1000)
    )
    if not len(values):
        return None
    return Panel(values, np.array([0, len(values)]), (entity,), features, steps, served.step)


@njit(cache=True, nogil=True)
def _placed(
    text: NDArray[np.uint8], columns: NDArray[np.float64], n: int, size: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values ``(n_steps, n_features)``, NaN where there are none, and the times of the steps.

    No steps, if a time is not as clients write it, they are too many, or a value is infinite. ``columns``: `n`
    values of each feature.
    """
    none = np.empty((0, 0)), np.empty(0, np.int64)
    grid = _on_grid(text, n, size)
    if len(grid) == 0:
        return none
    n_steps = grid[-1] - grid[0] + 1
    if n_steps > LONGEST:
        return none
    values = np.full((n_steps, len(columns) // n), np.nan)
    for j in range(values.shape[1]):
        for i in range(n):
            value = columns[j * n + i]
            if np.isinf(value):
                return none
            values[grid[i] - grid[0], j] = value  # of several rows on one point, the last counts
    return values, np.arange(grid[0], grid[-1] + 1) * size


@njit(cache=True, nogil=True)
def _on_grid(text: NDArray[np.uint8], n: int, size: int) -> NDArray[np.int64]:
    """Point of the grid of each time: its milliseconds over `size`; none, if one is not such a time.

    ``text``: `n` times, increasing, a line each. Those before 1970 are left to others, too.
    """
    none = np.empty(0, np.int64)
    width = len(TIME) + 1
    if len(text) != n * width - 1:
        return none
    grid = np.empty(n, np.int64)
    before = -1
    for i in range(n):
        if i > 0 and text[i * width - 1] != LINE:
            return none
        at = text[i * width : i * width + len(TIME)]
        for k in range(len(TIME)):
            digit = TIME[k] == 48
            if (digit and not 48 <= at[k] <= 57) or (not digit and at[k] != TIME[k]):
                return none
        d = at.astype(np.int64) - 48
        year = 1000 * d[0] + 100 * d[1] + 10 * d[2] + d[3]
        month, day = 10 * d[5] + d[6], 10 * d[8] + d[9]
        hour, minute, second = 10 * d[11] + d[12], 10 * d[14] + d[15], 10 * d[17] + d[18]
        leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
        if year < 1970 or not 1 <= month <= 12 or day < 1 or hour > 23 or minute > 59 or second > 59:
            return none
        if day > DAYS_BEFORE[month] - DAYS_BEFORE[month - 1] + (1 if leap and month == 2 else 0):
            return none
        past = year - 1
        days = 365 * (year - 1970) + past // 4 - past // 100 + past // 400 - 477
        days += DAYS_BEFORE[month - 1] + (1 if leap and month > 2 else 0) + day - 1
        ms = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000
        if ms <= before:
            return none
        before = ms
        grid[i] = ms // size
    return grid


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
