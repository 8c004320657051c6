"""The JSON body of a usual scoring request as a panel, without validation by the schema."""

from __future__ import annotations

from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.fill import MOST_VALUES, most_rows

if TYPE_CHECKING:
    from foreshock.api.replicas import Served

__all__ = ["fast_panel"]

KEYS = {"job", "windows", "last"}
WINDOW_KEYS = {"entity", "timestamps", "values"}
TIME = np.frombuffer(b"0000-00-00T00:00:00Z", np.uint8)
"""A time as clients write it: a digit where there is a 0."""
LINE = ord("\n")
COLON = ord(":")
NUMBERS = {float, int, NoneType}
DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])
"""The days of a year before each month."""


def fast_panel(served: Served, value: dict[str, Any], data: bytes, few: int = MOST_VALUES) -> Panel | None:
    """The panel of the JSON value of a `ScoreRequest`, if it is written as nearly all are; else None.

    Plain is a body with one window, one label, every time in UTC to the second, and nothing wrong. Whatever else it
    is, the schema says what: to have it look at each time and each number takes as long as to score them.

    Parameters
    ----------
    data
        Text of the body: a colon more in it than the value has is a key that is given twice.
    few
        Rows that are few enough; None for a body with more of them, too.
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
        np.frombuffer(text, np.uint8), np.array(columns, dtype=np.float64), n, round(served.step * 1000),
        min(few, most_rows(n, len(features), MOST_VALUES)),
    )  # fmt: skip
    if not len(values) or _count(np.frombuffer(data, np.uint8), COLON) != _colons(value, window, features, n):
        return None
    return Panel(values, np.array([0, len(values)]), (entity,), features, steps, served.step)


def _colons(value: dict[str, Any], window: dict[str, Any], features: tuple[str, ...], n: int) -> int:
    """Colons in the text of a plain body: one behind each key, two in each time, those of names."""
    keys = len(value) + len(window) + len(features)
    return keys + 2 * n + _in_names(features) + int(window["entity"].count(":") + value["job"].count(":"))


@cache
def _in_names(features: tuple[str, ...]) -> int:
    return sum(name.count(":") for name in features)


@njit(cache=True, nogil=True)
def _count(text: NDArray[np.uint8], letter: int) -> int:
    found = 0
    for one in text:
        if one == letter:
            found += 1
    return found


@njit(cache=True, nogil=True)
def _placed(
    text: NDArray[np.uint8], columns: NDArray[np.float64], n: int, size: int, most: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values ``(n_steps, n_features)``, NaN where there are none, and the times of the steps.

    No steps, if a time is not as clients write it, they are more than `most`, or a value is infinite. ``columns``:
    `n` values of each feature.
    """
    none = np.empty((0, 0)), np.empty(0, np.int64)
    grid = _on_grid(text, n, size)
    if len(grid) == 0:
        return none
    n_steps = grid[-1] - grid[0] + 1
    if n_steps > most:
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
