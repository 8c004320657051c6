"""The array form of a window: what every model on this floor takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foreshock_models.errors import DataError, allowed

__all__ = ["Panel"]


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows of one or many entities, sorted by entity and then by time, on a regular grid.

    Parameters
    ----------
    values
        ``(n_rows, n_features)`` float64, C order. NaN is a gap; ±Inf is not allowed.
    offsets
        ``(n_entities + 1,)`` int64: entity ``i`` owns the rows ``offsets[i]:offsets[i + 1]``.
    entities
        One name per entity, each once, in the order of the blocks.
    features
        One name per column.
    timestamps
        ``(n_rows,)`` int64, milliseconds since the epoch (UTC), strictly increasing within an entity.
        Without real times, ``step`` times the row number.
    step
        Seconds between two rows.
    """

    values: NDArray[np.float64]
    offsets: NDArray[np.int64]
    entities: tuple[str, ...]
    features: tuple[str, ...]
    timestamps: NDArray[np.int64]
    step: float = 60.0

    @property
    def n_rows(self) -> int:
        return int(self.values.shape[0])

    @property
    def n_features(self) -> int:
        return int(self.values.shape[1])

    @property
    def n_entities(self) -> int:
        return len(self.entities)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """``(n_entities,)``: how many rows each entity has."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def codes(self) -> NDArray[np.int64]:
        """``(n_rows,)``: the number of the entity that each row belongs to."""
        return np.repeat(np.arange(self.n_entities), self.lengths)

    @property
    def positions(self) -> NDArray[np.int64]:
        """``(n_rows,)``: the number of each row within its entity, from 0."""
        return np.arange(self.n_rows) - np.repeat(self.offsets[:-1], self.lengths)

    @classmethod
    def of(
        cls,
        X: Any,
        *,
        entities: ArrayLike | None = None,
        features: Sequence[str] | None = None,
        step: float = 60.0,
    ) -> Panel:
        """Make a panel of what users have at hand.

        Parameters
        ----------
        X
            A `Panel`; anything with a ``to_panel()`` method (a window); a pandas DataFrame of numeric
            columns; or an array ``(n_rows, n_features)`` (one dimension counts as one feature).
        entities
            ``(n_rows,)`` name of the entity of each row; rows of one entity stand together. Default: one
            entity.

        Raises
        ------
        DataError
            Not two-dimensional, not numeric, infinite, empty, or an entity in two separate blocks.
        """
        if isinstance(X, Panel):
            return X
        if hasattr(X, "to_panel"):
            panel: Panel = X.to_panel()
            return panel
        if hasattr(X, "columns") and features is None:
            features = [str(name) for name in X.columns]
        try:
            values = np.ascontiguousarray(np.asarray(X, dtype=np.float64))
        except (TypeError, ValueError) as exc:
            raise DataError(f"rows must be numbers, one column per feature: {exc}") from exc
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2 or 0 in values.shape:
            raise DataError(f"rows must have the shape (n_rows, n_features), both > 0; got {values.shape}")
        if np.isinf(values).any():
            raise DataError("rows hold an infinite value; use NaN for a gap")
        if features is not None and len(features) != values.shape[1]:
            raise DataError(f"{len(features)} feature names for {values.shape[1]} columns")
        names, offsets = _blocks(entities, len(values))
        positions = np.arange(len(values)) - np.repeat(offsets[:-1], np.diff(offsets))
        return cls(
            values=values,
            offsets=offsets,
            entities=names,
            features=tuple(features or (f"feature_{i}" for i in range(values.shape[1]))),
            timestamps=(positions * round(step * 1000)).astype(np.int64),
            step=float(step),
        )

    @classmethod
    def concat(cls, panels: Sequence[Panel]) -> Panel:
        """The blocks of several panels of the same features and step, one after the other.

        An entity may then be there several times, each time as a series of its own.
        """
        if len(panels) == 1:
            return panels[0]
        lengths = np.concatenate([[0], *(panel.lengths for panel in panels)])
        return cls(
            np.concatenate([panel.values for panel in panels]),
            np.cumsum(lengths),
            tuple(name for panel in panels for name in panel.entities),
            panels[0].features,
            np.concatenate([panel.timestamps for panel in panels]),
            panels[0].step,
        )

    def __iter__(self) -> Iterator[tuple[str, slice]]:
        """Yield each entity with the slice of its rows."""
        for name, a, b in zip(self.entities, self.offsets[:-1], self.offsets[1:], strict=True):
            yield name, slice(int(a), int(b))

    def take(self, mask: NDArray[np.bool_]) -> Panel:
        """Keep the rows where `mask` ``(n_rows,)`` is true; entities left without rows are dropped."""
        return self.pick(np.flatnonzero(mask))

    def pick(self, rows: NDArray[np.int64]) -> Panel:
        """Keep the rows with these numbers, increasing; entities left without rows are dropped."""
        from foreshock_models.kernels.compiled.rows import pick_rows  # not everyone who reads a panel compiles

        values, timestamps, offsets, kept = pick_rows(self.values, self.timestamps, self.offsets, rows)
        every = len(kept) == self.n_entities
        names = self.entities if every else tuple(self.entities[i] for i in kept.tolist())
        return Panel(values, offsets, names, self.features, timestamps, self.step)

    def rows_since(self, since: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of the rows that are not before the time that `since` ``(n_entities,)`` says of their entity."""
        from foreshock_models.kernels.compiled.rows import rows_since

        rows: NDArray[np.int64] = rows_since(self.timestamps, self.offsets, since)
        return rows

    def rows(self, start: int, stop: int) -> Panel:
        """The rows ``start:stop`` of one entity, without a copy."""
        entity = int(np.searchsorted(self.offsets, start, side="right")) - 1
        return Panel(
            self.values[start:stop],
            np.array([0, stop - start], dtype=np.int64),
            (self.entities[entity],),
            self.features,
            self.timestamps[start:stop],
            self.step,
        )

    def entities_between(self, start: int, stop: int) -> Panel:
        """The entities numbered ``start:stop``, without a copy of their rows."""
        a, b = int(self.offsets[start]), int(self.offsets[stop])
        return Panel(
            self.values[a:b], self.offsets[start : stop + 1] - a, self.entities[start:stop], self.features,
            self.timestamps[a:b], self.step,
        )  # fmt: skip

    def select(self, entities: Sequence[str]) -> Panel:
        """Keep some entities, in the panel's own order."""
        unknown = set(entities) - set(self.entities)
        if unknown:
            name = min(unknown)
            raise DataError(f"no entity {name!r} in these rows; {allowed(name, self.entities)}")
        wanted = np.array([name in set(entities) for name in self.entities])
        return self.take(wanted[self.codes])

    def require(self, features: Sequence[str]) -> Panel:
        """The same rows with exactly `features` as columns, in that order.

        Unnamed columns (``feature_0`` ...) are matched by position.
        """
        if self.features == tuple(features):
            return self
        unnamed = self.features == tuple(f"feature_{i}" for i in range(self.n_features))
        if unnamed and self.n_features == len(features):
            values = self.values
        else:
            missing = [name for name in features if name not in self.features]
            if missing:
                raise DataError(
                    f"feature {missing[0]!r} is missing from the rows; the model was fitted on "
                    f"{', '.join(features)}; the rows have {', '.join(self.features)}"
                )
            values = np.ascontiguousarray(self.values[:, [self.features.index(f) for f in features]])
        return Panel(values, self.offsets, self.entities, tuple(features), self.timestamps, self.step)


def _blocks(entities: ArrayLike | None, n_rows: int) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    if entities is None:
        return ("",), np.array([0, n_rows], dtype=np.int64)
    given = np.asarray(entities, dtype=object)  # texts of a fixed width would each be as wide as the longest
    if given.shape != (n_rows,):
        raise DataError(f"entities must name each of the {n_rows} rows; got the shape {given.shape}")
    labels = np.array([str(name) for name in given.tolist()], dtype=object)
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    names = tuple(str(name) for name in labels[starts])
    if len(set(names)) != len(names):
        raise DataError("rows of one entity must stand together: sort by entity, then by time")
    return names, np.concatenate([starts, [n_rows]]).astype(np.int64)
