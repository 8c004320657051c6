"""Known anomalies: intervals of entities, from a CSV or Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foreshock_models.errors import ConfigError, DataError
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.entity_key import entity_key

__all__ = ["INCIDENT", "Intervals", "KnownIncidents", "label_rows", "read_incidents", "read_labels"]

Intervals = Mapping[str, Sequence[tuple[datetime, datetime]]]
"""Entity to its known anomalies, each from its first to its last time."""
KnownIncidents = Mapping[str, Sequence[tuple[datetime, datetime, str]]]
"""Entity to its known anomalies, each with the name of the incident that it belongs to."""
INCIDENT = "incident"
"""Column of labels that names the incident of an anomaly; it may be missing."""


def read_labels(path: str | Path, entity: Sequence[str]) -> Intervals:
    """Read the intervals of known anomalies, by entity.

    Parameters
    ----------
    path
        CSV or Parquet with the columns ``start``, ``end`` (times, UTC unless they say otherwise) and one for each
        entity label.
    entity
        Names of the entity labels.

    Raises
    ------
    ConfigError
        The file cannot be read, lacks a column, or holds a time that is none or an end before its start; the text
        names the row.
    """
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    for key, start, end, _ in _rows(Path(path), entity):
        found.setdefault(key, []).append((start, end))
    return found


def read_incidents(path: str | Path, entity: Sequence[str]) -> KnownIncidents:
    """Read which incident each known anomaly belongs to; empty if the file has no column ``incident``.

    Raises
    ------
    ConfigError
        As `read_labels`.
    """
    found: dict[str, list[tuple[datetime, datetime, str]]] = {}
    for key, start, end, incident in _rows(Path(path), entity):
        if incident is not None:
            found.setdefault(key, []).append((start, end, incident))
    return found


def _rows(path: Path, entity: Sequence[str]) -> Iterator[tuple[str, datetime, datetime, str | None]]:
    """Entity, first and last time, and incident if one is named, of each row."""
    try:
        # labels are text even where they look like numbers
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{path}: labels cannot be read as CSV or Parquet: {exc}") from exc
    wanted = ["start", "end", *entity]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise ConfigError(f"{path}: no column {missing[0]!r}; labels need the columns {', '.join(wanted)}")
    for number, row in enumerate(table.to_dict("records"), start=1):
        start, end = (_time(row[name], f"{path}: row {number}, {name}") for name in ("start", "end"))
        if end < start:
            raise ConfigError(f"{path}: row {number}: the end {end} is before the start {start}")
        incident = row.get(INCIDENT) if INCIDENT not in entity else None
        key = entity_key({name: str(row[name]) for name in entity})
        yield key, start, end, None if pd.isna(incident) else str(incident)


def _time(value: object, where: str) -> datetime:
    try:
        time = pd.Timestamp(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{where}: {value!r} is not a time; write it as in 2026-03-01T12:00:00Z") from exc
    if pd.isna(time):
        raise ConfigError(f"{where}: no time; write it as in 2026-03-01T12:00:00Z")
    time = time.tz_localize(UTC) if time.tzinfo is None else time.tz_convert(UTC)
    return datetime.fromtimestamp(time.timestamp(), UTC)


def label_rows(panel: Panel, labels: Intervals, *, must: bool = True) -> NDArray[np.bool_]:
    """Return which rows lie in a known anomaly ``(n_rows,)``.

    `must`: refuse labels of which none overlaps the rows.

    Raises
    ------
    DataError
        No interval overlaps the rows: says what there is on both sides.
    """
    rows = np.zeros(panel.n_rows, np.bool_)
    for entity, block in panel:
        times = panel.timestamps[block]
        for start, end in labels.get(entity, ()):
            rows[block] |= (times >= start.timestamp() * 1000) & (times <= end.timestamp() * 1000)
    if must and not rows.any():
        first, last = (
            datetime.fromtimestamp(ms / 1000, UTC) for ms in (panel.timestamps.min(), panel.timestamps.max())
        )
        raise DataError(
            f"no label overlaps the rows: the labels name {_few(list(labels))}; the rows are of "
            f"{_few(list(panel.entities))}, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
        )
    return rows


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "nothing"
