"""Columns as callers give them, checked: times, numbers and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from foreshock_models.errors import DataError

__all__ = ["TIMESTAMP", "label_codes", "sorted_codes", "to_ms", "to_numbers"]

TIMESTAMP = pa.timestamp("ms", tz="UTC")
FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999
"""Milliseconds of the years 1 and 9999: what a datetime can say."""


def to_ms(times: Any) -> NDArray[np.int64]:
    """Times in any usual form as milliseconds since the epoch, ``(n,)`` int64.

    Raises
    ------
    DataError
        One is missing, is no time, or is outside the years 1 to 9999.
    """
    try:
        values = _as_ms(times)
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as exc:
        raise DataError(f"timestamps: cannot be read as times: {exc}") from exc
    if values.ndim != 1:
        raise DataError(f"timestamps: one per row is needed; got the shape {values.shape}")
    if len(values) and not (int(values.min()) >= FIRST and int(values.max()) <= LAST):
        raise DataError("timestamps: one is outside the years 1 to 9999; integers are milliseconds since the epoch")
    return values.astype(np.int64)


def _as_ms(times: Any) -> NDArray[Any]:
    """Milliseconds, as integers of any kind."""
    if isinstance(times, pa.Array | pa.ChunkedArray):
        if times.null_count:
            raise ValueError("one is null")
        times = times.cast(TIMESTAMP).cast(pa.int64()).to_numpy()
    values = np.asarray(times)
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError("one is not finite")
        return np.round(values).clip(FIRST - 1, LAST + 1).astype(np.int64)
    import pandas as pd  # only for times as people write them: it takes 50 MB

    index = pd.DatetimeIndex(pd.to_datetime(times, utc=True))
    if index.hasnans:
        raise ValueError("one is missing")
    return index.as_unit("ms").asi8


def to_numbers(name: str, column: Any, n_rows: int) -> NDArray[np.float64]:
    """A feature's values ``(n_rows,)``."""
    try:
        values = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise DataError(f"{name}: the values of a feature must be numbers: {exc}") from exc
    if values.shape != (n_rows,):
        raise DataError(f"{name}: values of the shape {values.shape} for {n_rows} timestamps")
    return values


def label_codes(labels: dict[str, Any], n_rows: int) -> tuple[NDArray[np.int64], list[NDArray[np.object_]]]:
    """Number each distinct label set, in sorted order; also each label's values per number."""
    codes = np.zeros(n_rows, np.int64)
    parts: list[tuple[NDArray[np.int64], NDArray[np.object_]]] = []
    for label, values in labels.items():
        own, names = sorted_codes(label, values)
        if len(own) != n_rows:
            raise DataError(f"{label}: {len(own)} values of a label for {n_rows} timestamps")
        distinct, codes = np.unique(codes * len(names) + own, return_inverse=True)  # so that they never overflow
        parts = [(kept[distinct // len(names)], known) for kept, known in parts]
        parts.append((distinct % len(names), names))
    return codes, [names[own] for own, names in parts]


def sorted_codes(label: str, values: Any) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Each row's number in the sorted distinct values ``(n_rows,)``, and these.

    They are Python strings: an array of fixed width would make each as long as the longest.
    """
    try:
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array(values, from_pandas=True)
        encoded = _dictionary_encoded(values)
    except (TypeError, ValueError, pa.ArrowException) as exc:
        raise DataError(f"{label}: the values of a label must be text: {exc}") from exc
    known = encoded.dictionary.to_pylist()
    if encoded.null_count or None in known:
        raise DataError(f"{label}: a label is null; each row needs one (an empty string is one, too)")
    texts = np.empty(len(known), object)
    texts[:] = [str(text) for text in known]
    names, order = np.unique(texts, return_inverse=True)
    return order[encoded.indices.to_numpy(zero_copy_only=False)].astype(np.int64), names


def _dictionary_encoded(values: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """Encode values in one chunk, however many they had: Arrow makes several of texts that are long together."""
    if isinstance(values, pa.ChunkedArray):
        if not pa.types.is_dictionary(values.type):
            values = values.dictionary_encode()
        # before they are combined: codes fit where texts do not
        values = values.unify_dictionaries().combine_chunks()
    return values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
