"""The response of a range query -> Arrow, without a Python object for any sample."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from foreshock_models.errors import QueryError, SourceUnavailable

__all__ = ["Series", "decode"]

MARK = b'"values":[['
PAIR = b"],["


@dataclass(frozen=True)
class Series:
    """Samples of all series of a response, one after the other.

    Attributes
    ----------
    labels
        Labels of each series.
    counts : ``(n_series,)`` samples of each
    timestamps : ``(n_samples,)`` ms since the epoch
    values : ``(n_samples,)``; NaN for NaN, +Inf and -Inf, which no detector can use
    """

    labels: list[dict[str, str]]
    counts: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]


def decode(body: bytes) -> Series:
    """Read a response of ``/api/v1/query_range``.

    The samples, nearly all of the text, are pairs ``time,"value"``; they go to Arrow's CSV reader as they are.
    The rest is small, and goes to a JSON parser, which also notices a response that was cut.

    Raises
    ------
    SourceUnavailable
        The response was cut, or is not Prometheus'.
    QueryError
        The result is not a range of numbers.
    """
    head, *pieces = body.split(MARK)
    skeleton = [head]
    segments: list[bytes] = []
    for piece in pieces:
        segment, end, rest = piece.partition(b"]]")
        if not end:
            raise SourceUnavailable("the response of the source was cut in the middle of a series; try again")
        segments.append(segment)
        skeleton.append(b'"values":[' + b"]" + rest)
    try:
        envelope = orjson.loads(b"".join(skeleton))
        data = envelope["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise SourceUnavailable(f"the response of the source was cut, or is not Prometheus': {exc}") from exc
    if data["resultType"] != "matrix":
        raise QueryError(f"the query gives a {data['resultType']}, not a range of numbers per series")
    result: list[dict[str, Any]] = [series for series in data["result"] if "values" in series]
    if len(result) != len(segments):
        raise SourceUnavailable("the response of the source is not Prometheus': series without samples")
    counts = np.array([segment.count(PAIR) + 1 for segment in segments], dtype=np.int64)
    times, values = _samples(segments)
    if len(times) != counts.sum():
        raise SourceUnavailable("the response of the source is damaged: samples are missing")
    return Series([series["metric"] for series in result], counts, times, values)


def _samples(segments: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if not segments:
        return np.zeros(0, np.int64), np.zeros(0)
    text = PAIR.join(segments).replace(PAIR, b"\n")
    try:
        table = pa.csv.read_csv(
            io.BytesIO(text),
            read_options=pa.csv.ReadOptions(column_names=["time", "value"], block_size=16 << 20, use_threads=False),
            convert_options=pa.csv.ConvertOptions(
                column_types={"time": pa.float64(), "value": pa.float64()},
                null_values=["NaN", "nan", "+Inf", "-Inf", "Inf", "inf", "-inf"],
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as exc:
        raise SourceUnavailable(f"the response of the source is damaged: {exc}") from exc
    times = np.round(table.column("time").to_numpy() * 1000).astype(np.int64)
    return times, table.column("value").to_numpy()
