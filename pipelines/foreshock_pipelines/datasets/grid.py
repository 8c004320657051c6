"""The regular grid of times on which the rows of a job lie, and the range of values that its queries allow."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from foreshock_models.errors import DataError
from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    from foreshock_pipelines.jobfile import Job

__all__ = ["grid", "mask_out_of_range"]


def grid(start: datetime, end: datetime, step: float) -> tuple[int, int]:
    """Return the first and last point of the grid within ``[start, end]``, ms since the epoch.

    Raises
    ------
    DataError
        No point lies between them.
    """
    size = round(step * 1000)
    first = math.ceil(round(start.timestamp() * 1000) / size) * size
    last = math.floor(round(end.timestamp() * 1000) / size) * size
    if last < first:
        raise DataError(
            f"no step of {step:g} s lies between {start:%Y-%m-%d %H:%M:%S} and {end:%Y-%m-%d %H:%M:%S}; "
            "the start must be before the end"
        )
    return first, last


def mask_out_of_range(windows: Windows, job: Job) -> Windows:
    """Replace samples outside a query's ``valid_range`` by gaps."""
    table = windows.table
    for name, query in job.queries.items():
        if query.valid_range is None:
            continue
        low, high = query.valid_range
        column = table.column(name)
        bad = pa.scalar(False)
        if low is not None:
            bad = pc.or_kleene(bad, pc.less(column, low))
        if high is not None:
            bad = pc.or_kleene(bad, pc.greater(column, high))
        cleaned = pc.if_else(pc.fill_null(bad, False), pa.scalar(None, pa.float64()), column)
        table = table.set_column(table.column_names.index(name), name, cleaned)
    return Windows(table)
