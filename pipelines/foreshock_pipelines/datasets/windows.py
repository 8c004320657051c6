"""The table that every job works on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from foreshock_models.errors import DataError, SourceError, allowed
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.columns import TIMESTAMP, label_codes, sorted_codes, to_ms, to_numbers
from foreshock_pipelines.datasets.entity_key import entity_key
from foreshock_pipelines.datasets.fill import check_rows

if TYPE_CHECKING:
    import pandas as pd
    import ray.data

__all__ = ["Windows"]

METADATA = b"foreshock"
MOST_REASONS = 10
LABEL = pa.dictionary(pa.int32(), pa.string())


class Windows:
    """Metric windows: an Arrow table with the meaning of its columns.

    The table has ``timestamp`` (ms, UTC), one dictionary column per entity label, one float64 column per
    feature. Rows are sorted by entity, then time; every entity has every point of the grid between the first
    and the last time; a missing sample is null. Schema metadata carries job, step and queries, so that a
    Parquet file of windows describes itself.

    Parameters
    ----------
    table
        A table of that shape, as `build`, `concat` and the sources make it.
    """

    def __init__(self, table: pa.Table) -> None:
        raw = (table.schema.metadata or {}).get(METADATA)
        if raw is None:
            raise DataError(
                "this table holds no windows: its schema has no 'foreshock' metadata; "
                "make windows with fetch(), or with Windows.build(...)"
            )
        self._meta: dict[str, Any] = json.loads(raw)
        self.table = table

    # -- making ----------------------------------------------------------------------------------------
    @classmethod
    def build(
        cls,
        timestamps: Any,
        labels: Mapping[str, Any],
        features: Mapping[str, Any],
        *,
        step: float,
        job: str = "",
        queries: Mapping[str, str] | None = None,
        start: int | None = None,
        end: int | None = None,
        most: int | None = None,
        partial: Sequence[str] = (),
    ) -> Self:
        """Make windows of columns: put them on the grid, sort them, fill what is missing with null.

        Parameters
        ----------
        timestamps
            ``(n,)`` milliseconds since the epoch, or datetimes; in any order. A time is moved down to its
            point of the grid; of several rows on one point, the last given counts.
        labels, features
            Columns ``(n,)`` by name: strings, and float64 with NaN or null where a sample is missing.
        start, end
            First and last (included) point of the grid, ms; default: those of the rows.
        most
            Values that the windows may have, of those that `fill.most_rows` allows.
        partial
            Why series or samples may be missing, as the source said.

        Raises
        ------
        DataError
            A time or a label is null, columns differ in length, a feature is not numeric, or the gaps between the
            rows are too many to be filled.
        """
        ms = to_ms(timestamps)
        size = _step_ms(step)
        meta = _meta(job, step, labels, queries, partial)
        if len(ms) == 0:
            return cls(_empty(meta, list(features)))
        codes, names = label_codes({key: labels[key] for key in labels}, len(ms))
        grid = ms // size
        first = (int(grid.min()) if start is None else start // size) * size
        last = (int(grid.max()) if end is None else end // size) * size
        n_steps = (last - first) // size + 1
        n_entities = len(names[0]) if names else 1
        if n_steps < 1:
            raise DataError(f"the end of the windows, {end} ms, is before their start, {start} ms")
        check_rows(n_steps * n_entities, len(ms), len(features), step, most)
        at = grid - first // size
        inside = (at >= 0) & (at < n_steps)
        slots = codes[inside] * n_steps + at[inside]
        dense: dict[str, NDArray[np.float64]] = {}
        for name, column in features.items():
            given = to_numbers(name, column, len(ms))
            dense[name] = np.full(n_entities * n_steps, np.nan)
            dense[name][slots] = given[inside]
        return cls.dense(
            dict(zip(labels, names, strict=True)), dense, first=first, n_steps=n_steps,
            step=step, job=job, queries=queries, partial=partial,
        )  # fmt: skip

    @classmethod
    def dense(
        cls,
        entities: Mapping[str, Any],
        features: Mapping[str, NDArray[np.float64]],
        *,
        first: int,
        n_steps: int,
        step: float,
        job: str = "",
        queries: Mapping[str, str] | None = None,
        partial: Sequence[str] = (),
    ) -> Self:
        """Make windows of values that stand on the grid already.

        Parameters
        ----------
        entities
            Label to its value per entity ``(n_entities,)``, the entities sorted.
        features
            Name to values ``(n_entities * n_steps,)``, entity by entity; NaN is a gap.
        first
            First point of the grid, ms since the epoch.
        """
        n_entities = len(next(iter(entities.values()))) if entities else 1
        size = round(step * 1000)
        times = np.tile(first + np.arange(n_steps) * size, n_entities)
        columns: dict[str, Any] = {"timestamp": pa.array(times, pa.int64()).cast(TIMESTAMP)}
        for name, values in entities.items():
            inverse, unique = sorted_codes(name, values)
            columns[name] = pa.DictionaryArray.from_arrays(
                pa.array(np.repeat(inverse, n_steps), pa.int32()), pa.array(unique, pa.string())
            )
        for name, column in features.items():
            columns[name] = pa.array(column, pa.float64(), from_pandas=True)
        meta = _meta(job, step, entities, queries, partial)
        return cls(pa.table(columns).replace_schema_metadata({METADATA: json.dumps(meta)}))

    @classmethod
    def concat(cls, parts: Sequence[Windows], *, start: int | None = None, end: int | None = None) -> Windows:
        """Join windows of the same job, over times or entities, onto one grid."""
        if not parts:
            raise DataError("nothing to join: no windows were given")
        first = parts[0]
        for part in parts[1:]:
            if (part.features, part.labels, part.step) != (first.features, first.labels, first.step):
                raise DataError("windows of different features, entity labels or step cannot be joined")
        table = pa.concat_tables([p.table.replace_schema_metadata(None) for p in parts]).unify_dictionaries()
        columns = {name: table.column(name).to_numpy() for name in first.features}
        if columns:  # a null must not overwrite a sample of another part on the same point
            some = ~np.all([np.isnan(values) for values in columns.values()], axis=0)
            edges = [int(t) for part in parts if part.n_rows for t in (part.start_ms, part.end_ms)]
            start = min(edges) if start is None and edges else start
            end = max(edges) if end is None and edges else end
            keep = pa.array(some | _lonely(table, first.labels, some))
            table = table.filter(keep)
            columns = {name: table.column(name).to_numpy() for name in first.features}
        return cls.build(
            table.column("timestamp"),
            {name: table.column(name).combine_chunks() for name in first.labels},
            columns,
            step=first.step,
            job=first.job,
            queries=first.queries,
            start=start,
            end=end,
            partial=sorted({reason for part in parts for reason in part.partial}),
        )

    @classmethod
    def join(cls, parts: Sequence[Windows]) -> Windows:
        """Join the parts of one read; some, or all, may be empty."""
        filled = [part for part in parts if part.n_rows]
        whole = cls.concat(filled) if len(filled) > 1 else (filled or list(parts))[0]
        partial = sorted({reason for part in parts for reason in part.partial})[:MOST_REASONS]
        if tuple(partial) == whole.partial:
            return whole
        meta = {**whole._meta, "partial": partial}
        return Windows(whole.table.replace_schema_metadata({METADATA: json.dumps(meta)}))

    @classmethod
    def from_pandas(
        cls,
        frame: pd.DataFrame,
        *,
        entity: Sequence[str] = (),
        step: float | None = None,
        job: str = "",
    ) -> Self:
        """Windows of a DataFrame: a datetime index or a ``timestamp`` column, label and feature columns.

        Raises
        ------
        DataError
            A column is named twice, a label is not among them, and what `build` refuses.
        """
        if "timestamp" not in frame.columns:
            frame = frame.rename_axis("timestamp").reset_index()
        names = [str(c) for c in frame.columns]
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"the column {name!r} is there twice; give each feature a name of its own")
        for name in entity:
            if name not in names:
                raise DataError(f"the entity label {name!r} is not a column; {allowed(name, names)}")
        features = [str(c) for c in frame.columns if c not in {"timestamp", *entity}]
        ms = to_ms(frame["timestamp"])
        if step is None:
            gaps = np.diff(np.unique(ms))
            if len(gaps) == 0:
                raise DataError("one point in time has no step; pass step= in seconds")
            step = float(np.median(gaps)) / 1000
        return cls.build(
            ms, {name: frame[name] for name in entity}, {f: frame[f] for f in features}, step=step, job=job
        )

    @classmethod
    def read_parquet(cls, path: str | Path) -> Self:
        """Read what `write_parquet` wrote."""
        try:
            return cls(pq.read_table(path))
        except (OSError, pa.ArrowInvalid) as exc:
            raise SourceError(f"{path}: cannot be read as Parquet: {exc}") from exc

    def write_parquet(self, path: str | Path) -> None:
        """Write one self-describing Parquet file; a reader never sees half of it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            pq.write_table(self.table, part, compression="zstd")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    # -- looking ---------------------------------------------------------------------------------------
    @property
    def job(self) -> str:
        return str(self._meta["job"])

    @property
    def step(self) -> float:
        """Seconds between two rows."""
        return float(self._meta["step"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the entity labels."""
        return tuple(self._meta["entity"])

    @property
    def queries(self) -> dict[str, str]:
        return dict(self._meta["queries"])

    @property
    def partial(self) -> tuple[str, ...]:
        """Why series or samples may be missing, as the source said; empty if its answers were whole."""
        return tuple(self._meta.get("partial", ()))

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(n for n in self.table.column_names if n != "timestamp" and n not in self.labels)

    @property
    def n_rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def start_ms(self) -> int:
        """First point of the grid, ms since the epoch."""
        return int(self._times()[0])

    @property
    def end_ms(self) -> int:
        """Last point of the grid, ms since the epoch."""
        return int(self._times()[-1])

    @property
    def start(self) -> datetime:
        return datetime.fromtimestamp(self.start_ms / 1000, UTC)

    @property
    def end(self) -> datetime:
        return datetime.fromtimestamp(self.end_ms / 1000, UTC)

    @property
    def entities(self) -> tuple[str, ...]:
        """One key per entity, in the order of the rows (see `entity_key`)."""
        offsets = self._offsets()
        firsts = self.table.take(pa.array(offsets[:-1])).select(self.labels).to_pylist()
        return tuple(entity_key(row) for row in firsts)

    def _times(self) -> NDArray[np.int64]:
        column = self.table.column("timestamp").cast(pa.int64())
        return column.to_numpy()

    def _offsets(self) -> NDArray[np.int64]:
        """``(n_entities + 1,)``: every entity has the same number of rows, so time tells the blocks."""
        times = self._times()
        starts = np.flatnonzero(np.r_[True, np.diff(times) <= 0]) if len(times) else np.array([], int)
        return np.concatenate([starts, [len(times)]]).astype(np.int64)

    # -- giving ----------------------------------------------------------------------------------------
    def to_arrow(self) -> pa.Table:
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        return self.table.to_pandas()

    def to_ray(self) -> ray.data.Dataset:
        """A Ray dataset of Arrow blocks."""
        import ray.data

        return ray.data.from_arrow(self.table)

    def to_panel(self) -> Panel:
        """The array form, for models: nulls become NaN."""
        if self.n_rows == 0:
            raise DataError("these windows are empty: no series matched in that time range")
        values = np.empty((self.n_rows, len(self.features)))
        for i, name in enumerate(self.features):
            values[:, i] = self.table.column(name).to_numpy()
        return Panel(values, self._offsets(), self.entities, self.features, self._times(), self.step)

    def between(self, start: int | datetime | None = None, end: int | datetime | None = None) -> Windows:
        """Rows with start <= time <= end (ms since the epoch, or datetimes)."""
        times = self._times()
        keep = np.ones(len(times), bool)
        if start is not None:
            keep &= times >= _ms(start)
        if end is not None:
            keep &= times <= _ms(end)
        return Windows(self.table.filter(pa.array(keep)))

    def keep(self, features: Sequence[str], *, job: str | None = None) -> Windows:
        """The same rows with these features, in that order; under another job's name, if given."""
        queries = {name: text for name, text in self.queries.items() if name in features}
        meta = {**self._meta, "queries": queries, "job": self.job if job is None else job}
        table = self.table.select(["timestamp", *self.labels, *features])
        return Windows(table.replace_schema_metadata({METADATA: json.dumps(meta)}))

    def select(self, entities: Iterable[str]) -> Windows:
        """Keep some entities, by key."""
        wanted = set(entities)
        offsets = self._offsets()
        mask = np.repeat([name in wanted for name in self.entities], np.diff(offsets))
        return Windows(self.table.filter(pa.array(mask.astype(bool))))

    def __repr__(self) -> str:
        features = f"features: {', '.join(self.features)}"
        features += f"; partial answer: {self.partial[0]}" if self.partial else ""
        if self.n_rows == 0:
            return f"Windows({self.job!r}, empty, {features})"
        n = len(self._offsets()) - 1
        return (
            f"Windows({self.job!r}: {n} entities x {self.n_rows // n} rows of {self.step:g} s, "
            f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC; {features})"
        )

    def _repr_html_(self) -> str:
        from html import escape

        head = self.table.slice(0, 5).to_pandas().to_html(index=False, border=0, na_rep="–")
        return f"<p>{escape(repr(self))}</p>{head}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Windows) and self._meta == other._meta and bool(self.table.equals(other.table))

    __hash__ = None  # type: ignore[assignment]


def _step_ms(step: float) -> int:
    """Milliseconds of a step."""
    if not 0.0005 < step < 1e9:  # NaN neither
        raise DataError(f"step: must be at least 0.001 s, and less than thirty years; got {step}")
    return round(step * 1000)


def _meta(
    job: str, step: float, labels: Iterable[str], queries: Mapping[str, str] | None, partial: Sequence[str]
) -> dict[str, Any]:
    meta = {"job": job, "step": step, "entity": list(labels), "queries": dict(queries or {})}
    return {**meta, "partial": list(partial)[:MOST_REASONS]} if partial else meta


def _ms(time: int | datetime) -> int:
    return round(time.timestamp() * 1000) if isinstance(time, datetime) else int(time)


def _lonely(table: pa.Table, labels: Sequence[str], some: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One row of each entity that has no sample at all, so that it stays in the result."""
    codes, _names = label_codes({name: table.column(name) for name in labels}, table.num_rows)
    keep = np.zeros(table.num_rows, bool)
    silent = np.setdiff1d(codes, codes[some])
    _, firsts = np.unique(codes, return_index=True)
    keep[firsts[np.isin(codes[firsts], silent)]] = True
    return keep


def _empty(meta: dict[str, Any], features: Sequence[str]) -> pa.Table:
    fields = [pa.field("timestamp", TIMESTAMP)]
    fields += [pa.field(name, LABEL) for name in meta["entity"]]
    fields += [pa.field(name, pa.float64()) for name in features]
    return pa.schema(fields, metadata={METADATA: json.dumps(meta)}).empty_table()
