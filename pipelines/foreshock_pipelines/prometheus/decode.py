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

__all__ = ["Series", "decode", "decode_instant"]

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
    The rest is small, and goes to a JSON parser, which also notices a response that was cut. A response that
    is written in another way (with spaces, say) is read by the JSON parser alone: slower, but as well.

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
            raise SourceUnavailable("the response was cut in the middle of a series")
        segments.append(segment)
        skeleton.append(b'"values":[0]' + rest)
    series = _series(b"".join(skeleton))
    if len(series) == len(segments):
        counts = np.array([segment.count(PAIR) + 1 for segment in segments], dtype=np.int64)
        samples = _samples(segments)
        if samples is not None and len(samples[0]) == counts.sum():
            return Series([one["metric"] for one in series], counts, *samples)
    return _slowly(_series(body))


def decode_instant(body: bytes) -> list[dict[str, Any]]:
    """Series of a response of ``/api/v1/query``, each with `metric` and `value` (a time and a text)."""
    data = _data(body)
    if data["resultType"] != "vector":
        raise QueryError(f"the query gives a {data['resultType']}, not a number per series")
    return list(data["result"])


def _series(body: bytes) -> list[dict[str, Any]]:
    """The series that have samples."""
    data = _data(body)
    if data["resultType"] != "matrix":
        raise QueryError(f"the query gives a {data['resultType']}, not a range of numbers per series")
    for series in data["result"]:
        if "histograms" in series:
            raise QueryError(
                f"the query gives native histograms ({series['metric']}), not numbers; "
                "make a number of them, as in histogram_quantile(0.99, ...)"
            )
    return [series for series in data["result"] if series.get("values")]


def _data(body: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(body)["data"]
        if isinstance(data["result"], list) and isinstance(data["resultType"], str):
            return dict(data)
    except orjson.JSONDecodeError as exc:
        start = body[:40].decode(errors="replace")
        why = "was cut" if body[:1] == b"{" else f"is not Prometheus': it begins with {start!r}"
        raise SourceUnavailable(f"the response {why}") from exc
    except (KeyError, TypeError):
        pass
    raise SourceUnavailable("the response is not Prometheus': it has no result")


def _samples(segments: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Times and values ``(n_samples,)``; None if they are not written in Prometheus' own way."""
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
    except pa.ArrowInvalid:
        return None
    return _finite(table.column("time").to_numpy(), table.column("value").to_numpy())


def _slowly(series: list[dict[str, Any]]) -> Series:
    counts = np.array([len(one["values"]) for one in series], dtype=np.int64)
    try:
        pairs = np.array([pair for one in series for pair in one["values"]], dtype=np.float64).reshape(-1, 2)
    except (ValueError, TypeError) as exc:
        raise SourceUnavailable(f"the response is damaged: a sample is not a time and a number: {exc}") from exc
    return Series([one["metric"] for one in series], counts, *_finite(pairs[:, 0], pairs[:, 1]))


def _finite(
    seconds: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times in ms, and values with NaN for what no detector can use."""
    return np.round(seconds * 1000).astype(np.int64), np.where(np.isfinite(values), values, np.nan)
